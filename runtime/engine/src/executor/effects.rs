//! What a call did: first written into the slice, then, if it fits, into the state.

use millstream_core::columns::Effects;
use millstream_core::delta::DeltaOp;
use millstream_core::slice::{CallKind, Slice};

use super::Executor;

impl Executor {
    /// Appends outputs and delta to the slice.
    pub(super) fn stage_effects(&mut self, slice: &mut Slice, effects: &Effects, kind: CallKind) {
        let (keys, key_of, times) = match kind {
            CallKind::Process => (
                &self.buffers.batch.keys,
                &self.buffers.batch.key_of,
                &self.buffers.batch.event_times,
            ),
            CallKind::OnTimer => (
                &self.buffers.timer_batch.keys,
                &self.buffers.timer_batch.key_of,
                &self.buffers.timer_batch.times,
            ),
        };
        // Outputs in the order of (cause, declared output, item): per key the order of its records.
        let mut next = [0usize; 256];
        let wanted = &self.options.wanted;
        // Every partition does the same with a broadcast record: the first one's outputs count.
        let broadcast = kind == CallKind::Process
            && self.queue.front().is_some_and(|chunk| self.is_broadcast(chunk));
        let counts = !broadcast || self.options.first;
        loop {
            let heads = effects.emitted.iter().enumerate().filter(|(o, _)| wanted[*o]);
            let cause = heads.filter_map(|(o, e)| e.causes.get(next[o])).min().copied();
            let Some(cause) = cause.filter(|_| counts) else { break };
            let key = keys.get(key_of[cause as usize] as usize);
            let fed = self.options.feeding.map(|f| self.cause_of(f.ordering, kind, cause as usize));
            for (output, emitted) in effects.emitted.iter().enumerate().filter(|(o, _)| wanted[*o])
            {
                while emitted.causes.get(next[output]) == Some(&cause) {
                    let item = next[output];
                    slice.outputs.push_with(output as u8, key, times[cause as usize], |out| {
                        self.encoders[output].encode(emitted, item, out)
                    });
                    if let (Some(exchange), Some(cause)) = (&mut slice.exchange, fed) {
                        exchange.caused(slice.outputs.count() - 1, cause);
                    }
                    next[output] += 1;
                }
            }
        }
        if !self.options.keep_delta {
            return;
        }
        for (index, written) in effects.written.iter().enumerate() {
            let state = self.value_states[index].index;
            for (i, &key) in written.keys.iter().enumerate() {
                let value = written.present.has(i).then(|| written.items.get(i));
                slice.delta.push(&DeltaOp::Value { state, key: keys.get(key as usize), value });
            }
        }
        let changes = &effects.timer_changes;
        for i in 0..changes.causes.len() {
            let key = keys.get(key_of[changes.causes[i] as usize] as usize);
            slice.delta.push(&DeltaOp::Timer {
                timer: changes.timers[i] as u16,
                key,
                time: changes.times[i],
                set: changes.present.has(i),
            });
        }
    }

    /// Makes values and timers what the call says.
    pub(super) fn apply_effects(&mut self, effects: &Effects, kind: CallKind) {
        for (index, written) in effects.written.iter().enumerate() {
            for (i, &key) in written.keys.iter().enumerate() {
                let value = written.present.has(i).then(|| written.items.get(i));
                self.state.set_value(self.buffers.distinct[key as usize], index, value);
            }
        }
        // The buffers are lent while the queues change.
        let buffers = std::mem::take(&mut self.buffers);
        let (keys, key_of) = match kind {
            CallKind::Process => (&buffers.batch.keys, &buffers.batch.key_of),
            CallKind::OnTimer => (&buffers.timer_batch.keys, &buffers.timer_batch.key_of),
        };
        let changes = &effects.timer_changes;
        for i in 0..changes.causes.len() {
            let (timer, time, set) =
                (changes.timers[i] as u16, changes.times[i], changes.present.has(i));
            let key = keys.get(key_of[changes.causes[i] as usize] as usize);
            self.change_timer(timer, key, time, set);
            if set {
                self.state.set_timer(timer, key, time);
            } else {
                self.state.delete_timer(timer, key, time);
            }
        }
        self.buffers = buffers;
    }
}
