# name, core source, text, its replacement

# R2: the VOR is the sender's own position only
sim_edit(mutant-r2-vor event.c "vor->at[t] = log_published(logs[t]);" "vor->at[t] = 0;")
# R4: a failed try is replayed before the holder came
sim_edit(mutant-r4-try event.c
  "if (order->sequence < reader->next.sequence)\n        return EVENT_WAIT; /* R4 */" "")
# R5: a load is predicted by its value alone
sim_edit(mutant-r5-version event_word.c
  "if (ev_load_predicted(thread, log, address, value, version))"
  "version.written = word_cache(thread, address)->version.written;
   if (ev_load_predicted(thread, log, address, value, version))")
# R5: a logged load does not wait for the writer
sim_edit(mutant-r5-wait event_word.c
  "positions_get(positions, record->writer) < record->written" "false")
# R5: a wide load is predicted by its value alone
sim_edit(mutant-r5-wide event_word.c "!version_same(last, version)" "false")
# R6: an elided compare-exchange failed or not by what this thread saw last
sim_edit(mutant-r6-value event_word.c
  "bool owner = stripe->owner == thread->index + 1;"
  "bool owner = true; rmw->memory.low = word_cache(thread, rmw->address)->value;")
# R6: an RMW does not wait for its turn
sim_edit(mutant-r6-order event_word.c
  "enum event may = order_may(thread, reader, stripe);\n    if (may != EVENT_PASS)\n        return may;\n    rmw->old"
  "stripe->sequence = reader->next.kind == RECORD_ORDER ? reader->next.sequence - 1 : stripe->sequence;\n    rmw->old")
# R6: an elided compare-exchange is judged by memory for everybody but the owner
sim_edit(mutant-r6-owner event_word.c
  "if (owner && !word_same(" "if (!owner && !word_same(")
# R10: a mixed load depends on nothing
sim_edit(mutant-r10-vector event_word.c
  "dependency->at[t] = log_published(logs[t]);" "dependency->at[t] = 0;")
# R4: a write attempt that failed because of readers does not wait for them
sim_edit(mutant-r4-readers event_rw.c
  "if (!all_passed(thread, &record->vector, passed))\n            return EVENT_WAIT;" "")
# R4: a failed attempt does not wait for the writer
sim_edit(mutant-r4-writer event_rw.c
  "if (order->sequence < reader->next.sequence)\n        return EVENT_WAIT;" "")
# R7: a read is predicted whatever was written since
sim_edit(mutant-r7-reader event_rw.c "|| known->sequence != order->sequence" "")
# R7: a read does not wait for its write
sim_edit(mutant-r7-wait event_rw.c "order->sequence < wanted ||" "")
# R7: a write is predicted though others read since
sim_edit(mutant-r7-elision event_rw.c
  "atomic_load_explicit(&order->other_reads, memory_order_relaxed) != 0" "false")
# R7: a writer does not wait for the reads before it
sim_edit(mutant-r7-reads event_rw.c "done < record->reads || " "")
# R19: any record is taken for a signal
sim_edit(mutant-r19-signal event.c
  "if (reader->next.kind != RECORD_SIGNAL)\n        return EVENT_WAIT;" "")
# R19: a predicted event is taken for the signal after it
sim_edit(mutant-r19-early event.c
  "case NEXT_PREDICTED:\n        return EVENT_WAIT;" "case NEXT_PREDICTED:\n        break;")
# R12: records beyond the cut are kept
sim_edit(mutant-r12-records stored_log.c "log->length = log->parsed = offset;" "")
# R12: held outputs within the cut keep their VOR
sim_edit(mutant-r12-satisfied output_takeover.c "thread->satisfied = outputs;" "")
# R12: a snapshot of the dead master may still be committed
sim_edit(mutant-r12-pending output_takeover.c "ol->pending_count = 0;" "")
# R13: effects below the mark are not waited for
sim_edit(mutant-r13-effects output_base.c "|| thread->effects < mark->effects[t]" "")
# R14: a replayed output that is held already is taken again
sim_edit(mutant-r14-double output_log.c
  "if (item->number <= thread->arrived)\n        return 0;" "")
# R16: released before the first base
sim_edit(mutant-r16-base output_log.c "if (ol->base.number == 0)\n        return;" "")
# R17: the input logger obeys an older master
sim_edit(mutant-r17-claim input_log.c "epoch < il->epoch ||" "")
sim_edit(mutant-r17-truncate input_log.c "epoch != il->epoch || il->claimant == 0" "false")
# G1: R covers a VOR one event early
sim_edit(mutant-g1-cover output_log.c
  "positions_get(&ol->received, t) < vor.at[t]" "positions_get(&ol->received, t) + 1 < vor.at[t]")
