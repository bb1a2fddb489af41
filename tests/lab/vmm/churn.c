// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The endless pattern from the VMM's side: dividing the tables among the vCPUs, starting and
 * stopping it, and the proof afterwards that every update the guests did is there once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest-entry.h"
#include "vm.h"

/*
 * Each part is an equal run of entries of each table; what is left over at the end nobody writes.
 */
int churn_start(struct vm *vm, struct table **tables, int n, const struct churn_options *opt)
{
	if (n > GUEST_MAX_TABLES)
		return -E2BIG;
	for (int c = 0; c < opt->ncpus; c++) {
		struct guest_cpu *cpu = vm->vcpu[c].guest;

		for (int i = 0; i < n; i++) {
			u64 share = tables[i]->entries / (u64)opt->parts;

			if (!share)
				return -EINVAL;
			cpu->table[i] = (struct guest_churn){
				.liobn = tables[i]->liobn,
				.page_shift = tables[i]->page_shift,
				.first = tables[i]->offset + (u64)c * share,
				.count = share,
				.chunk = opt->chunk,
				.check_every = opt->check_every,
				.from = opt->overwrite ? share : 0,
				.seq = opt->overwrite ? share : 0,
				.mem_pages = vm->mem_size >> tables[i]->page_shift,
			};
		}
		cpu->ntables = (u64)n;
		cpu->stop = 0;
		cpu->reports = vm->vcpu[c].reports;
		cpu->tb_last = cpu->tb_max_gap = 0;
		cpu->nops = 0;
	}
	for (int c = 0; c < opt->ncpus; c++)
		vcpu_start(&vm->vcpu[c], guest_churn);
	return 0;
}

int churn_stop(struct vm *vm)
{
	bool ok = true;

	for (int c = 0; c < vm->nvcpus; c++)
		__atomic_store_n(&vm->vcpu[c].guest->stop, 1, __ATOMIC_SEQ_CST);
	for (int c = 0; c < vm->nvcpus; c++)
		ok &= vcpu_wait(&vm->vcpu[c]);
	return ok ? 0 : -EIO;
}

/*
 * What an entry may hold now. Where the guest stands in the middle of a step, the hcall may have
 * been done already while `seq` does not say so yet: both values are right there, and only there.
 */
static bool entry_right(const struct guest_churn *t, u64 pos, u64 got)
{
	u64 lap_start = t->seq - t->seq % t->count;
	u64 seq = lap_start + pos;
	u64 in_flight = churn_kind(t, t->seq) == CHURN_PUT ? 1 : churn_step(t, t->seq);

	if (seq < t->seq)
		return got == churn_value(t, seq);
	if (seq < t->seq + in_flight && got == churn_value(t, seq))
		return true;
	return !churn_known_before(t, seq) || got == churn_value_before(t, seq);
}

static int verify_part(struct vm *vm, const struct guest_churn *part, int cpu, FILE *out)
{
	struct table *t = table_find(vm, part->liobn);
	u64 *buf;
	int ret;

	if (!t) {
		fprintf(out, "vcpu %d: no table %#lx\n", cpu, part->liobn);
		return -ENOENT;
	}
	buf = malloc(part->count * sizeof(*buf));
	if (!buf)
		return -ENOMEM;
	ret = table_read(t, part->first - t->offset, part->count, buf);
	for (u64 pos = 0; pos < part->count && !ret; pos++) {
		if (!entry_right(part, pos, buf[pos])) {
			fprintf(out,
				"vcpu %d: LIOBN %#lx, index %lu: got %#lx, "
				"before the step %#lx, sequence %lu\n",
				cpu, part->liobn, part->first - t->offset + pos, buf[pos],
				churn_value_before(part, part->seq - part->seq % part->count + pos),
				part->seq);
			ret = -EILSEQ;
		}
	}
	free(buf);
	return ret;
}

int churn_verify(struct vm *vm, FILE *out)
{
	int ret = 0;

	for (int c = 0; c < vm->nvcpus; c++) {
		const struct vcpu *vcpu = &vm->vcpu[c];
		const struct guest_cpu *cpu = vcpu->guest;

		/* The guest counts a report once it is answered, the VMM when it is asked. */
		if (cpu->reports != vcpu->reports && cpu->reports + 1 != vcpu->reports) {
			fprintf(out, "vcpu %d: the guest made %lu reports, the VMM saw %lu\n", c,
				cpu->reports, vcpu->reports);
			ret = -EILSEQ;
		}
		for (u64 i = 0; i < cpu->ntables; i++) {
			const int part = verify_part(vm, &cpu->table[i], c, out);

			ret = ret ? ret : part;
		}
	}
	return ret;
}

u64 churn_updates(const struct guest_cpu *cpu)
{
	u64 updates = 0;

	for (u64 i = 0; i < cpu->ntables; i++)
		updates += __atomic_load_n(&cpu->table[i].seq, __ATOMIC_RELAXED) -
			   cpu->table[i].from;
	return updates;
}

void churn_stats(struct vm *vm, FILE *out)
{
	for (int c = 0; c < vm->nvcpus; c++) {
		const struct vcpu *vcpu = &vm->vcpu[c];
		const struct guest_cpu *cpu = vcpu->guest;
		fprintf(out,
			"vcpu %d updates %lu reports %lu mmio %lu ticks %lu max-gap %lu "
			"exits %lu early %lu timebase %lu\n",
			c, churn_updates(cpu), vcpu->reports, vcpu->mmio_loads, cpu->ticks,
			cpu->tb_max_gap, vcpu->exits, cpu->early_ticks, cpu->tb_last);
	}
}
