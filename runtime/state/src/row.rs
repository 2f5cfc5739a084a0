//! The value states of one key, packed: one cell per column, as kept in memory and in the database.
//!
//! A cell is a LEB128 header and its bytes. Header 0: absent. Otherwise `header - 1` is the length
//! shifted left by one, plus 1 if the 8 bytes (little endian, milliseconds) before the bytes are the
//! processing time from which the cell counts as absent. Cells of an event-time state have no such bytes: their value
//! begins with its time. Absent cells at the end are left out, so columns can be added
//! later, and a row without any value is empty.

use std::ops::Range;

use crate::expiry::{Horizon, NEVER, Times, event_expiry};

/// A cell as found in a row.
struct Cell {
    /// Header, expiry and bytes.
    whole: Range<usize>,
    /// The bytes alone; `None` when absent.
    value: Option<Range<usize>>,
    /// By processing time; [`NEVER`] for those of event-time states.
    expiry: i64,
}

/// Where a value state is in a row, and by which clock its items expire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub index: usize,
    pub event_time: bool,
}

impl Column {
    /// Whether a value with this cell's time is absent at these times.
    #[inline]
    fn is_expired(self, expiry: i64, value: &[u8], now: Times) -> bool {
        if self.event_time {
            event_expiry(value) <= now.watermark
        } else {
            expiry <= now.processing
        }
    }
}

/// Reads a header at `at`. `None` at the end of the row.
#[inline]
fn header(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    if first < 0x80 {
        return Some((u64::from(first), at + 1));
    }
    let (mut value, mut at, mut shift) = (u64::from(first & 0x7F), at + 1, 7);
    loop {
        let b = *bytes.get(at)?;
        value |= u64::from(b & 0x7F) << shift;
        at += 1;
        shift += 7;
        if b < 0x80 {
            return Some((value, at));
        }
        if shift > 56 {
            return None;
        }
    }
}

/// Reads the cell at `at`. `None` at the end of the row or when it is malformed.
#[inline]
fn cell(bytes: &[u8], at: usize) -> Option<Cell> {
    let (header, mut from) = header(bytes, at)?;
    if header == 0 {
        return Some(Cell { whole: at..from, value: None, expiry: NEVER });
    }
    let length = usize::try_from((header - 1) >> 1).ok()?;
    let mut expiry = NEVER;
    if (header - 1) & 1 == 1 {
        expiry = i64::from_le_bytes(*bytes.get(from..)?.first_chunk()?);
        from += 8;
    }
    let end = from.checked_add(length)?;
    (end <= bytes.len()).then_some(Cell { whole: at..end, value: Some(from..end), expiry })
}

/// The cell of `column` in a row that starts at `at`; an error is the number of cells to add
/// before it, none of which exist.
#[inline]
fn find(bytes: &[u8], mut at: usize, column: usize) -> Result<Cell, usize> {
    let mut i = 0;
    loop {
        match cell(bytes, at) {
            Some(cell) if i == column => return Ok(cell),
            Some(cell) => at = cell.whole.end,
            None => return Err(column - i),
        }
        i += 1;
    }
}

/// The value of `column` at these times in a row that starts at `at`.
#[inline]
pub(crate) fn get(bytes: &[u8], at: usize, column: Column, now: Times) -> Option<&[u8]> {
    let cell = find(bytes, at, column.index).ok()?;
    let value = &bytes[cell.value?];
    if column.is_expired(cell.expiry, value, now) { None } else { Some(value) }
}

/// When the value of `column` expires, if that is known of it and there is one.
pub(crate) fn expiry(row: &[u8], column: Column) -> Option<i64> {
    let cell = find(row, 0, column.index).ok()?;
    let value = &row[cell.value?];
    Some(if column.event_time { event_expiry(value) } else { cell.expiry })
}

/// Whether every byte of `row` belongs to a well-formed cell.
pub(crate) fn is_well_formed(row: &[u8]) -> bool {
    let mut at = 0;
    while at < row.len() {
        match cell(row, at) {
            Some(cell) => at = cell.whole.end,
            None => return false,
        }
    }
    true
}

/// The row with the value of column n in column `ids[n]`. `None` if it is malformed or has a value in a column without one.
pub(crate) fn renumber(row: &[u8], ids: &[Option<u16>]) -> Option<Vec<u8>> {
    let (mut at, mut index) = (0, 0);
    let mut cells: Vec<&[u8]> = Vec::new();
    while at < row.len() {
        let cell = cell(row, at)?;
        at = cell.whole.end;
        if cell.value.is_some() {
            let column = usize::from((*ids.get(index)?)?);
            cells.resize(cells.len().max(column + 1), &[0]);
            cells[column] = &row[cell.whole];
        }
        index += 1;
    }
    Some(cells.concat())
}

/// What is left of a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing has expired.
    All,
    /// No value is left.
    Nothing,
    /// Some value has expired: the row without it.
    Cells(Vec<u8>),
}

/// Whether a cell's value may be dropped.
fn may_drop(row: &[u8], cell: &Cell, index: usize, horizon: &Horizon) -> bool {
    let column = Column { index, event_time: horizon.follows_event_time(index) };
    let expired = |value| column.is_expired(cell.expiry, value, horizon.times());
    cell.value.clone().is_none_or(|value| expired(&row[value]))
}

/// Whether no value of `row` is left by the horizon. A malformed row counts as one with values.
pub(crate) fn is_expired(row: &[u8], horizon: &Horizon) -> bool {
    let (mut at, mut index) = (0, 0);
    while at < row.len() {
        match cell(row, at) {
            Some(cell) if may_drop(row, &cell, index, horizon) => at = cell.whole.end,
            _ => return false,
        }
        index += 1;
    }
    true
}

/// What is left of `row` by the horizon. A malformed row is left as it is.
pub(crate) fn left(row: &[u8], horizon: &Horizon) -> Left {
    let (mut at, mut index) = (0, 0);
    let (mut kept, mut end) = (Vec::new(), 0);
    let mut expired = false;
    while at < row.len() {
        let Some(cell) = cell(row, at) else { return Left::All };
        at = cell.whole.end;
        if may_drop(row, &cell, index, horizon) {
            expired |= cell.value.is_some();
            kept.push(0);
        } else {
            kept.extend_from_slice(&row[cell.whole]);
            end = kept.len();
        }
        index += 1;
    }
    kept.truncate(end);
    match expired {
        false => Left::All,
        true if kept.is_empty() => Left::Nothing,
        true => Left::Cells(kept),
    }
}

/// A key and its row in one allocation with as little slack as there may be: there are millions of them.
pub(crate) struct KeyedRow {
    buffer: Box<[u8]>,
    used: u32,
    key_length: u32,
}

/// Allocations are rounded up to this, as allocators do anyway.
const GRAIN: usize = 16;

impl KeyedRow {
    pub fn new(key: &[u8]) -> Self {
        let mut buffer = vec![0; key.len().next_multiple_of(GRAIN)].into_boxed_slice();
        buffer[..key.len()].copy_from_slice(key);
        let length = u32::try_from(key.len()).expect("keys are shorter than 4 GiB");
        Self { buffer, used: length, key_length: length }
    }

    #[inline]
    pub fn key(&self) -> &[u8] {
        &self.buffer[..self.key_length as usize]
    }

    /// The cells; empty when there is no value.
    #[inline]
    pub fn cells(&self) -> &[u8] {
        &self.buffer[self.key_length as usize..self.used as usize]
    }

    /// Allocated bytes.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// The allocation's byte at `at`, if it is that long.
    #[inline]
    pub fn byte(&self, at: usize) -> Option<u8> {
        self.buffer.get(at).copied()
    }

    #[inline]
    pub fn get(&self, column: Column, now: Times) -> Option<&[u8]> {
        get(&self.buffer[..self.used as usize], self.key_length as usize, column, now)
    }

    /// Whether the column has bytes, expired or not.
    pub fn holds(&self, column: usize) -> bool {
        find(&self.buffer[..self.used as usize], self.key_length as usize, column)
            .is_ok_and(|cell| cell.value.is_some())
    }

    /// Replaces all cells by a well-formed row.
    pub fn load(&mut self, cells: &[u8]) {
        self.splice(self.key_length as usize..self.used as usize, cells.len(), |gap| {
            gap.copy_from_slice(cells)
        });
    }

    /// Sets or removes a column's value. `expiry` is by processing time, [`NEVER`] for a value that stays
    /// or that begins with its event time.
    #[inline]
    pub fn set(&mut self, column: usize, value: Option<&[u8]>, expiry: i64) {
        let found = find(&self.buffer[..self.used as usize], self.key_length as usize, column);
        let Some(value) = value else {
            if let Ok(cell) = found {
                self.splice(cell.whole, 1, |gap| gap[0] = 0);
                self.drop_absent_end();
            }
            return;
        };
        if let Ok(Cell { value: Some(range), expiry: before, .. }) = &found
            && range.len() == value.len()
            && (*before == NEVER) == (expiry == NEVER)
        {
            self.buffer[range.clone()].copy_from_slice(value);
            if expiry != NEVER {
                self.buffer[range.start - 8..range.start].copy_from_slice(&expiry.to_le_bytes());
            }
            return;
        }
        self.replace(found, value, expiry);
    }

    #[cold]
    fn replace(&mut self, found: Result<Cell, usize>, value: &[u8], expiry: i64) {
        let (whole, absent_before) = match found {
            Ok(cell) => (cell.whole, 0),
            Err(absent) => (self.used as usize..self.used as usize, absent),
        };
        let timed = expiry != NEVER;
        let mut head = [0; 10];
        let mut header = ((value.len() as u64) << 1 | u64::from(timed)) + 1;
        let mut length = 0;
        while header >= 0x80 {
            head[length] = header as u8 | 0x80;
            header >>= 7;
            length += 1;
        }
        head[length] = header as u8;
        length += 1;
        let total = absent_before + length + if timed { 8 } else { 0 } + value.len();
        self.splice(whole, total, |gap| {
            let (zeros, gap) = gap.split_at_mut(absent_before);
            zeros.fill(0);
            let (header, mut gap) = gap.split_at_mut(length);
            header.copy_from_slice(&head[..length]);
            if timed {
                let (time, rest) = gap.split_at_mut(8);
                time.copy_from_slice(&expiry.to_le_bytes());
                gap = rest;
            }
            gap.copy_from_slice(value);
        });
    }

    /// Makes `range` into a gap of `length` bytes, moves what follows, and has the gap filled.
    fn splice(&mut self, range: Range<usize>, length: usize, fill: impl FnOnce(&mut [u8])) {
        let tail = range.end..self.used as usize;
        let used = range.start + length + tail.len();
        let wanted = used.next_multiple_of(GRAIN);
        // Shrinks only when half is wasted, so that values of changing length do not reallocate each time.
        if wanted > self.buffer.len() || wanted * 2 <= self.buffer.len() {
            let mut buffer = vec![0; wanted].into_boxed_slice();
            buffer[..range.start].copy_from_slice(&self.buffer[..range.start]);
            buffer[range.start + length..used].copy_from_slice(&self.buffer[tail]);
            self.buffer = buffer;
        } else {
            self.buffer.copy_within(tail, range.start + length);
        }
        self.used = u32::try_from(used).expect("rows are shorter than 4 GiB");
        fill(&mut self.buffer[range.start..range.start + length]);
    }

    fn drop_absent_end(&mut self) {
        let (mut at, mut end) = (0, 0);
        let cells = self.cells();
        while let Some(cell) = cell(cells, at) {
            at = cell.whole.end;
            if cell.value.is_some() {
                end = at;
            }
        }
        self.used = self.key_length + end as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(index: usize) -> Column {
        Column { index, event_time: false }
    }

    fn at(processing: i64) -> Times {
        Times { processing, ..Times::START }
    }

    fn horizon(processing: i64) -> Horizon {
        let horizon = Horizon::new();
        horizon.advance(at(processing));
        horizon
    }

    #[test]
    fn items_of_event_time_states_begin_with_their_time() {
        let mut row = KeyedRow::new(b"k");
        row.set(0, Some(&[&7i64.to_le_bytes()[..], b"seven"].concat()), NEVER);
        row.set(1, Some(b"for ever"), NEVER);
        let event = Column { index: 0, event_time: true };
        let watermark = |watermark| Times { watermark, processing: 1000 };
        assert_eq!(row.get(event, watermark(6)).map(|value| &value[8..]), Some(&b"seven"[..]));
        assert_eq!(row.get(event, watermark(7)), None);
        assert_eq!(expiry(row.cells(), event), Some(7));
        let horizon = Horizon::new();
        horizon.advance(watermark(7));
        assert_eq!(left(row.cells(), &horizon), Left::All, "nobody said that it is event time");
        horizon.follow_event_time(0);
        let Left::Cells(cells) = left(row.cells(), &horizon) else { panic!("one is left") };
        row.load(&cells);
        assert!(!row.holds(0) && row.holds(1));
    }

    proptest! {
        #[test]
        fn rows_hold_what_was_set(key in prop::collection::vec(any::<u8>(), 0..40),
                                  writes in prop::collection::vec((0usize..4, prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
                                                                   prop_oneof![Just(NEVER), 0i64..100]), 0..30)) {
            let mut row = KeyedRow::new(&key);
            let mut model: [Option<(Vec<u8>, i64)>; 4] = Default::default();
            for (index, value, time) in writes {
                row.set(index, value.as_deref(), time);
                model[index] = value.map(|v| (v, time));
                for now in [0, 50] {
                    for (i, cell) in model.iter().enumerate() {
                        let wanted = cell.as_ref().filter(|(_, expiry)| *expiry > now).map(|(v, _)| &v[..]);
                        prop_assert_eq!(row.get(column(i), at(now)), wanted);
                        prop_assert_eq!(expiry(row.cells(), column(i)), cell.as_ref().map(|(_, expiry)| *expiry));
                    }
                }
                prop_assert_eq!(row.key(), &key[..]);
                prop_assert!(is_well_formed(row.cells()));
                prop_assert_eq!(row.cells().is_empty(), model.iter().all(Option::is_none));
                let all = model.iter().flatten().all(|(_, e)| *e <= 50);
                let any = model.iter().flatten().any(|(_, e)| *e <= 50);
                prop_assert_eq!(is_expired(row.cells(), &horizon(50)), all);
                let mut rest = KeyedRow::new(b"");
                match left(row.cells(), &horizon(50)) {
                    Left::All => {
                        prop_assert!(!any);
                        rest.load(row.cells());
                    }
                    Left::Nothing => prop_assert!(any && all),
                    Left::Cells(cells) => {
                        prop_assert!(any && !all);
                        rest.load(&cells);
                    }
                }
                for (i, cell) in model.iter().enumerate() {
                    let wanted = cell.as_ref().filter(|(_, expiry)| *expiry > 50).map(|(v, _)| &v[..]);
                    prop_assert_eq!(rest.get(column(i), Times::START), wanted);
                }
                let mut copy = KeyedRow::new(b"other");
                copy.load(row.cells());
                prop_assert_eq!(copy.cells(), row.cells());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            is_well_formed(&bytes);
            is_expired(&bytes, &horizon(0));
            left(&bytes, &horizon(0));
            for index in 0..3 {
                for event_time in [false, true] {
                    get(&bytes, 0, Column { index, event_time }, at(0));
                }
            }
        }
    }
}
