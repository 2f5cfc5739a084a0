//! Checks what a source delivers: schema and references, gaps and duplicates in its numbers, a hash chain over its records,
//! and control totals that other systems have for its batches.

mod batch;
mod chain;
mod config;
mod identifiers;
mod schema;
mod sequence;

use millstream_udf::prelude::*;

use crate::batch::{Batch, Control};
use crate::chain::{GENESIS, Link};
use crate::config::Config;
use crate::schema::{Fault, check};
use crate::sequence::{Gap, Seen, Sequence};

/// Bytes of the name of a batch or system, at most.
const NAME_BYTES_MAX: usize = 128;

/// A record of a source, or a control. The key is the source.
#[derive(Input)]
struct Delivered<'a> {
    /// `record` or `control`.
    #[field(rename = "type")]
    kind: &'a str,
    ts: i64,
    seq: Option<i64>,
    data: Option<RawJson<'a>>,
    previous_hash: Option<&'a str>,
    hash: Option<&'a str>,
    batch_id: Option<&'a str>,
    system: Option<&'a str>,
    count: Option<i64>,
    total: Option<i64>,
}

/// A record without fault.
#[derive(Output)]
#[output(tag = "type", value = "valid")]
struct Valid<'a> {
    source: &'a str,
    seq: i64,
    ts: i64,
    batch_id: Option<&'a str>,
    data: RawJson<'a>,
}

/// A record that is not passed on, and why.
#[derive(Output)]
#[output(tag = "type", value = "rejected")]
struct Rejected<'a> {
    source: &'a str,
    seq: i64,
    ts: i64,
    batch_id: Option<&'a str>,
    data: RawJson<'a>,
    reasons: Json<Vec<Fault>>,
}

/// Numbers that are missing, or have come after all.
#[derive(Output)]
#[output(tag = "type", value = "gap")]
struct Missing<'a> {
    source: &'a str,
    from_seq: i64,
    to_seq: i64,
    ts: i64,
    /// `gap_open` or `gap_filled`.
    reason: &'a str,
}

/// A control compared with what has arrived.
#[derive(Output)]
#[output(tag = "type", value = "reconciliation")]
struct Reconciliation<'a> {
    source: &'a str,
    batch_id: &'a str,
    system: &'a str,
    ts: i64,
    count: i64,
    count_expected: i64,
    total: Json<i128>,
    total_expected: i64,
    /// `matched` or `break`.
    status: &'a str,
    reasons: Json<Vec<&'static str>>,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    valid: Emit<Valid<'static>>,
    rejected: Emit<Rejected<'static>>,
    gap: Emit<Missing<'static>>,
    reconciliation: Emit<Reconciliation<'static>>,
}

/// What is kept of a source.
#[derive(States)]
struct Source {
    sequence: Value<Sequence>,
    /// By the record's number.
    #[state(ttl = "30d")]
    links: Map<u64, Link>,
    #[state(ttl = "30d")]
    batches: Map<String, Batch>,
    /// By the time of reconciliation and a running number.
    controls: Map<(i64, u32), Control>,
    controls_seen: Value<u32>,
}

/// The UDF.
struct DataIntegrity {
    config: Config,
}

#[udf(name = "data-integrity", version = "1.0.0", state = Source, outputs = Out)]
impl DataIntegrity {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { config: config.checked()? })
    }

    fn process(
        &self,
        delivered: Delivered<'_>,
        source: &mut Source,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        for (field, name) in [("batch_id", delivered.batch_id), ("system", delivered.system)] {
            let bytes = name.map_or(1, str::len);
            ensure!(
                (1..=NAME_BYTES_MAX).contains(&bytes),
                "`{field}` has {bytes} bytes; it must have 1 to {NAME_BYTES_MAX}"
            );
        }
        match delivered.kind {
            "record" => self.on_record(&delivered, source, out, ctx),
            "control" => self.on_control(&delivered, source, ctx),
            other => bail!("`{other}` is no type; it must be `record` or `control`"),
        }
    }

    /// Numbers have been missing for long enough.
    #[timer(event_time)]
    fn gaps(&self, source: &mut Source, out: &mut Out, ctx: &mut TimerContext<'_>) -> Result<()> {
        let name = ctx.key_text()?;
        let Some(sequence) = source.sequence.get_mut() else { return Ok(()) };
        for Gap { from, to, .. } in
            sequence.overdue(ctx.time().saturating_sub(self.config.gap_grace_ms()))
        {
            out.gap.emit(Missing {
                source: name,
                from_seq: from as i64,
                to_seq: to as i64,
                ts: ctx.time(),
                reason: "gap_open",
            });
        }
        Ok(())
    }

    /// Controls have waited for the last records of their batches.
    #[timer(event_time)]
    fn reconcile(source: &mut Source, out: &mut Out, ctx: &mut TimerContext<'_>) -> Result<()> {
        let name = ctx.key_text()?;
        while let Some((place, control)) = source.controls.first()
            && place.0 <= ctx.time()
        {
            source.controls.remove(&place);
            let mut batch = source.batches.get(&control.batch_id).unwrap_or_default();
            let reasons = control.differences(&batch);
            out.reconciliation.emit(Reconciliation {
                source: name,
                batch_id: &control.batch_id,
                system: &control.system,
                ts: ctx.time(),
                count: batch.count,
                count_expected: control.count,
                total: Json(batch.total),
                total_expected: control.total,
                status: if reasons.is_empty() { "matched" } else { "break" },
                reasons: Json(reasons),
            });
            batch.reconciled = true;
            source.batches.insert(&control.batch_id, &batch);
        }
        Ok(())
    }
}

impl DataIntegrity {
    fn on_record(
        &self,
        record: &Delivered<'_>,
        source: &mut Source,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let name = ctx.key_text()?;
        let (Some(seq), Some(RawJson(data))) = (record.seq, record.data) else {
            bail!("a record needs `seq` and `data`");
        };
        ensure!((0..i64::MAX).contains(&seq), "`seq` is {seq}; it must be 0 to 2^63 - 2");
        let (link, fault) = self.link(record, data)?;
        let first = self.config.first_seq;
        let sequence = source.sequence.get_or_insert_with(|| Sequence::new(first));
        let seen = sequence.take(seq as u64, record.ts)?;
        let (mut faults, total) =
            check(data, &self.config.fields, self.config.total_field.as_deref());
        if seen == Seen::Before {
            let known = source.links.get(&(seq as u64));
            let same = known.is_none_or(|known| known.hash == link.hash);
            let code = if same { "duplicate" } else { "conflicting_duplicate" };
            faults = vec![Fault { code, field: None }];
        } else {
            let broken = self.broken_links(seq as u64, &link, source);
            let faulty = fault.into_iter().chain(broken);
            faults.extend(faulty.map(|code| Fault { code, field: None }));
            source.links.insert(&(seq as u64), &link);
            if let Some(id) = record.batch_id {
                let mut batch = source.batches.get(id).unwrap_or_default();
                batch.count += 1;
                batch.total += i128::from(total.unwrap_or(0));
                if batch.reconciled {
                    faults.push(Fault { code: "after_control", field: None });
                }
                source.batches.insert(id, &batch);
            }
        }
        if seen == Seen::Beyond {
            ctx.set_timer(Self::GAPS, record.ts.saturating_add(self.config.gap_grace_ms()));
        }
        if seen == (Seen::Missing { reported: true }) {
            out.gap.emit(Missing {
                source: name,
                from_seq: seq,
                to_seq: seq,
                ts: record.ts,
                reason: "gap_filled",
            });
        }
        let Delivered { ts, batch_id, .. } = *record;
        if faults.is_empty() {
            out.valid.emit(Valid { source: name, seq, ts, batch_id, data: RawJson(data) });
        } else {
            let (data, reasons) = (RawJson(data), Json(faults));
            out.rejected.emit(Rejected { source: name, seq, ts, batch_id, data, reasons });
        }
        Ok(())
    }

    /// The record's place in the chain, and whether its own hash is wrong. Without a chain, the hash serves to tell
    /// duplicates from conflicts.
    fn link(&self, record: &Delivered<'_>, data: &str) -> Result<(Link, Option<&'static str>)> {
        if !self.config.hash_chain {
            let link = Link { hash: chain::hash(&GENESIS, data), previous: GENESIS };
            return Ok((link, None));
        }
        let stated = |text: Option<&str>, name: &str| match text.and_then(chain::from_hex) {
            Some(hash) => Ok(hash),
            None => Err(Error::new(format_args!("`{name}` must be 64 hexadecimal digits"))),
        };
        let previous = stated(record.previous_hash, "previous_hash")?;
        let hash = stated(record.hash, "hash")?;
        let wrong = hash != chain::hash(&previous, data);
        Ok((Link { hash, previous }, wrong.then_some("hash_mismatch")))
    }

    /// Where the record does not fit to its neighbours. Whichever of two comes last is compared with the other.
    fn broken_links(&self, seq: u64, link: &Link, source: &Source) -> Vec<&'static str> {
        if !self.config.hash_chain {
            return Vec::new();
        }
        let before = match seq == self.config.first_seq {
            true => Some(GENESIS),
            false => seq.checked_sub(1).and_then(|seq| source.links.get(&seq)).map(|l| l.hash),
        };
        let behind = source.links.get(&(seq + 1)).map(|link| link.previous);
        let broken = [
            (before.is_some_and(|hash| hash != link.previous), "chain_broken"),
            (behind.is_some_and(|hash| hash != link.hash), "successor_disagrees"),
        ];
        broken.into_iter().filter(|(broken, _)| *broken).map(|(_, code)| code).collect()
    }

    fn on_control(
        &self,
        control: &Delivered<'_>,
        source: &mut Source,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let (Some(batch_id), Some(system), Some(count), Some(total)) =
            (control.batch_id, control.system, control.count, control.total)
        else {
            bail!("a control needs `batch_id`, `system`, `count` and `total`");
        };
        let number = source.controls_seen.get_or_default();
        *number = number.wrapping_add(1);
        let due = control.ts.saturating_add(self.config.control_grace_ms());
        let control =
            Control { batch_id: batch_id.to_owned(), system: system.to_owned(), count, total };
        source.controls.insert(&(due, *number), &control);
        ctx.set_timer(Self::RECONCILE, due);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
