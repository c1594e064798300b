# name, source, text, its replacement

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
# G6: the way, the packets are not compared; an event is no step of the way
sim_edit(mutant-g6-path event.c
  "digests->path != path_step(thread->path, thread->site)" "false")
sim_edit(mutant-g6-sent event.c "digests->sent != sent" "false")
sim_edit(mutant-g6-step event.c
  "thread->path = path_step(thread->path, thread->site);\n    __atomic" "__atomic")
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
# R16: released before the new logger's first base
sim_edit(mutant-r16-release output_log.c "if (ol->base.number == 0)\n        return;"
  "if (ol->base.number == 0 && ol->thread[0].log.base == 0)\n        return;")
# R16: inputs of a dead input logger are taken for its successor's
sim_edit(mutant-r16-claim input_log.c "claim->of != 0 && claim->of != il->incarnation" "false")
sim_edit(mutant-r16-marks output_base.c "mark->inputs_of == before->inputs_of && " "")
# R16: a new input logger is asked for a dead one's inputs
sim_edit(mutant-r16-asked rejoin.c
  "incarnation == rejoin->inputs.of ? rejoin->inputs : (struct input_claim){0}" "rejoin->inputs")
# R15: what a standby truncated is skipped, and no more
sim_edit(mutant-r15-gap input_log.c "from = il->oldest; /* its standby" "from = il->next; /* its standby")
# R16: inputs of a new input logger are taken before the barrier
sim_edit_rejoin(mutant-r16-takes "return rejoin->input == INPUT_SERVES;" "return true;")
sim_edit(mutant-r16-serves rejoin.c
  "next.of == rejoin->inputs.of ? INPUT_SERVES : INPUT_CLAIMED" "INPUT_SERVES")
# R16: those of the dead one are kept at the barrier
sim_edit(mutant-r16-queue rejoin.c "barrier.inputs_discard = true;" "")
sim_edit_user(mutant-r16-discard rejoin.c "process->queue_count = 0;" "")
# R16: a base of the dead one's inputs makes its successor forget
sim_edit_user(mutant-r16-truncate rejoin.c
  "mark->inputs_of != process->input.of || process->rejoin.input != INPUT_SERVES" "false")
# R16: logs are shipped before the new output logger said GO
sim_edit_rejoin(mutant-r16-ships "return rejoin->output == OUTPUT_SERVES;"
  "return rejoin->output == OUTPUT_SERVES || rejoin->output == OUTPUT_RESUMES;")
# R16: logs do not begin at the barrier; what lies before is kept; no segment begins there
sim_edit_user(mutant-r16-restart process.c "log_restart(&process->log[t]);"
  "log_reset(&process->log[t]);")
sim_edit(mutant-r16-kept log.c "log_discard(log);\n    log->reset = true;" "log->reset = true;")
sim_edit(mutant-r16-segment log.c "log_discard(log);\n    log->reset = true;" "log_discard(log);")
sim_edit(mutant-r16-boundary log.c "log->boundary = false;\n}" "}")
# R16: outputs given before: one too few or too many, at either end
sim_edit(mutant-r16-shipped-less output_log.c "= resume->shipped[t];"
  "= resume->shipped[t] - (resume->shipped[t] > 0);")
sim_edit(mutant-r16-shipped-more output_log.c "= resume->shipped[t];"
  "= resume->shipped[t] + (resume->shipped[t] < mark->outputs[t]);")
sim_edit_user(mutant-r16-double rejoin.c "control->resume.shipped[t] = process->given[t];"
  "if (process->given[t] > 0 && process->ring[t].head > 0) process->ring[t].head--, process->given[t]--;
   control->resume.shipped[t] = process->given[t];")
# R16: outputs and effects before the barrier are not known of
sim_edit(mutant-r16-logged output_log.c "thread->logged = mark->outputs[t];" "")
sim_edit(mutant-r16-performed output_log.c "thread->effects = resume->performed[t];" "")
# R16: outputs of before the barrier wait for the VORs of later ones
sim_edit(mutant-r16-satisfied output_base.c "thread->satisfied = mark->outputs[t];" "(void)0;")
# R16, R18: effects are performed that nobody could recover: before the image is there; above it
# before it is the base; of a second image
sim_edit_user(mutant-r16-effects rejoin.c "process->based = BASED_NOT;" "process->based = BASED;")
sim_edit_user(mutant-r16-above process.c "positions_cover(&process->stored.positions, &effect->vor)"
  "positions_cover(&process->acked, &effect->vor)")
sim_edit_user(mutant-r16-second loggers.c "&& world->image_count == 1" "")
# R16, R17: a new output logger lets a fenced master resume; one whose epoch it never had; two;
# a fresh one
sim_edit(mutant-r16-fenced output_log.c
  "if (epoch < ol->epoch) {\n        ol->stale++;\n        return -ESTALE;\n    }\n    if (epoch > ol->epoch)\n        return -ENODATA;"
  "if (epoch > ol->epoch)\n        return -ENODATA;")
sim_edit(mutant-r16-disk output_log.c "if (epoch > ol->epoch)\n        return -ENODATA;" "")
sim_edit(mutant-r16-busy output_log.c "ol->phase != PHASE_IDLE || ol->threads > 0" "false")
sim_edit_user(mutant-r16-fresh returns.c "if (world->ol_epoch > 0)\n        return false;" "")
# R17: the input logger obeys an older master
sim_edit(mutant-r17-claim input_log.c "epoch < il->epoch ||" "")
sim_edit(mutant-r17-truncate input_log.c "epoch != il->epoch || il->claimant == 0" "false")
# G1: R covers a VOR one event early
sim_edit(mutant-g1-cover output_log.c
  "positions_get(&ol->received, t) < vor.at[t]" "positions_get(&ol->received, t) + 1 < vor.at[t]")
# R3: a piece of a log says that events are there whose bytes are not; or that were not received
# whole; or says so only when nothing more is there to come
sim_edit(mutant-r3-piece log_feed.c "stored_log_reached(stored, at + length);" "stored->received;")
sim_edit(mutant-r3-whole stored_log.c
  "return reached < log->received ? reached : log->received;" "return reached;")
sim_edit(mutant-r3-late stored_log.c "if (beyond == 0)\n        return log->base;" "return log->base;")
# A backup is sent more than it has room for
sim_edit(mutant-feed-credit log_feed.c "left < room ? left : room;" "left;")
# G3: the cut is taken before the rest of the logs is there
sim_edit_user(mutant-g3-rest replay.c "return log_is_there(process);" "return true;")
# R14: a replayed output is not kept; only until the next piece of log
sim_edit_user(mutant-r14-kept replay.c
  "item.number <= process->replay->held[t] && !again" "process->replay->takeover.epoch == 0")
sim_edit_user(mutant-r14-stable follow.c
  "ring->item[ring->head % SIM_RING_MAX].number <= process->replay->held[t]" "true")
# R18: an effect is not kept until the master has performed it
sim_edit_user(mutant-r18-kept follow.c
  "effect->number > process->replay->effects[effect->thread]" "false")
# R11: a standby's base does not carry the codec of its streams; or the one behind the next record;
# or the OL goes on from another
sim_edit_user(mutant-r11-codec follow.c
  "log_reader_codec(&replay->thread[t].reader, &control->image->thread[t].state.codec);"
  "codec_reset(&control->image->thread[t].state.codec, state->position);")
sim_edit(mutant-r11-ahead event.c "if (!reader->have)\n        return;\n    memcpy(out" "return;\n    memcpy(out")
sim_edit(mutant-r11-base stored_log.c "log->base_codec = place.codec;" "codec_reset(&log->base_codec, base);")
# R11: barriers behind a standby's base are forgotten
sim_edit(mutant-r11-segments stored_log.c "if (segment.offset < offset ||" "if (!barrier || segment.offset < offset ||")
# R13: a standby's snapshot becomes the base though outputs below are not here
sim_edit(mutant-r13-standby output_base.c
  "if (thread->arrived < mark->outputs[t] ||" "if ((!mark->replayed && thread->arrived < mark->outputs[t]) ||")
# R15: a standby's base lets the IL forget what it has not consumed; a standby is copied what is no
# longer kept; or takes an input twice that it was copied and then fed
sim_edit_user(mutant-r15-standby follow.c "mark.inputs_from = inputs_needed(process);"
  "mark.inputs_from = process->rejoin.inputs.from;")
sim_edit(mutant-r15-copy input_log.c "if (il->uncopied < first)\n        il->uncopied = 0;" "")
sim_edit_user(mutant-r15-twice process.c "due->of == input.of && input.id < due->from"
  "due->of == input.of && input.id < due->from && process->mode == PROCESS_REPLAY")
# What the master had begun of a snapshot survives FOLLOW; or is taken while a standby follows; the
# one that is needed is dropped again and again
sim_edit(mutant-follow-marks following.c
  "output_log_marks_drop(log);\n    following->follows = true;" "following->follows = true;")
sim_edit(mutant-follow-images following.c "return following->follows == of_standby;" "return true;")
sim_edit(mutant-follow-needed following.c " && !needed" "")
# G6: a standby follows, or a backup takes over, from what one that departed may have made
sim_edit(mutant-g6-follow following.c "!following->mistrusted && base" "base")
sim_edit(mutant-g6-takeover following.c
  "return !following->mistrusted || !output_log_base(log)->replayed;" "return true;")
