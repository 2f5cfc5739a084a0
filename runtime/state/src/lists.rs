//! List states, kept as elements: an item under its position (u64, big endian), and a head under the empty entry key.
//!
//! The guest sees indexes: those of the items that have not expired, in order. The log's deltas name
//! positions, which stay what they are. They count up from 0; in a list with TTL, whose head expires with
//! its last item, they count up from the running commit's number times 2^20, so that positions only ever grow between
//! two clears (a commit holds fewer than 2^20 writes) and redoing old writes over a newer list does no harm.
//!
//! Items expire from the front as long as they expire in order; the head then only moves its start. A guest that
//! refreshes items out of order makes the list *scattered*: its live items are then found by reading all of it, until
//! those that are left are in order again.
//!
//! A redo may begin with a head that is older or newer than the one its writes were made with, or with none: what expired was
//! dropped. So it takes a position for what it is: one before the start or behind the end belongs to the list, with a gap
//! between, unless the list began anew there. The positions alone decide what is in a list, and the time what of it is
//! seen.

use millstream_core::udf::Limit;

use crate::error::StateError;
use crate::expiry::NEVER;
use crate::keyed::KeyedState;

/// Head of a list. Stored as start, end (u64), latest expiry (i64), flags (bit 0: timed, bit 1: scattered); little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    /// All items before this position have expired.
    start: u64,
    /// Position of the next item.
    end: u64,
    /// The largest expiry of any item.
    latest: i64,
    /// Some item was given an expiry.
    timed: bool,
    /// Items may expire in another order than that of their positions, and there may be gaps.
    scattered: bool,
}

/// A list without items.
const EMPTY: Head = Head { start: 0, end: 0, latest: i64::MIN, timed: false, scattered: false };
/// Positions that a commit may use in a list with TTL, as a power of two.
const POSITIONS_PER_COMMIT_LOG2: u32 = 20;
/// Entry key of the head.
const HEAD: &[u8] = &[];

impl Head {
    fn encode(self) -> [u8; 25] {
        let mut out = [0; 25];
        out[..8].copy_from_slice(&self.start.to_le_bytes());
        out[8..16].copy_from_slice(&self.end.to_le_bytes());
        out[16..24].copy_from_slice(&self.latest.to_le_bytes());
        out[24] = u8::from(self.timed) | u8::from(self.scattered) << 1;
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (start, rest) = bytes.split_first_chunk()?;
        let (end, rest) = rest.split_first_chunk()?;
        let (latest, rest) = rest.split_first_chunk()?;
        let &[flags @ 0..4] = rest else { return None };
        let head = Self {
            start: u64::from_le_bytes(*start),
            end: u64::from_le_bytes(*end),
            latest: i64::from_le_bytes(*latest),
            timed: flags & 1 != 0,
            scattered: flags & 2 != 0,
        };
        (head.start <= head.end).then_some(head)
    }
}

/// The live items of a list.
enum Live {
    /// All from the head's start to its end.
    Between(Head),
    /// Those at these positions, ascending.
    At(Head, Vec<u64>),
}

impl KeyedState {
    /// Number of items.
    pub fn list_length(&mut self, state: u16, key: &[u8]) -> Result<u64, StateError> {
        self.select(state, key);
        Ok(match self.live_list()? {
            Live::Between(head) => head.end - head.start,
            Live::At(_, positions) => positions.len() as u64,
        })
    }

    /// The items from index `start` on, up to `limit`.
    pub fn list_read(
        &mut self,
        state: u16,
        key: &[u8],
        start: u64,
        limit: Limit,
    ) -> Result<Vec<Vec<u8>>, StateError> {
        let items = self.list_elements(state, key, start, limit)?;
        Ok(items.into_iter().map(|(item, _)| item).collect())
    }

    /// The same, each item with its expiry.
    pub(crate) fn list_elements(
        &mut self,
        state: u16,
        key: &[u8],
        start: u64,
        limit: Limit,
    ) -> Result<Vec<(Vec<u8>, i64)>, StateError> {
        self.select(state, key);
        match self.live_list()? {
            Live::Between(head) => {
                let start = head.start.saturating_add(start);
                let end = start.saturating_add(limit.items as u64).min(head.end);
                self.items(start..end, limit.bytes)
            }
            Live::At(_, positions) => {
                let skipped = usize::try_from(start).unwrap_or(usize::MAX);
                self.items(positions.into_iter().skip(skipped).take(limit.items), limit.bytes)
            }
        }
    }

    /// Replaces the item at `index`, or appends it if `index` is the length. Returns the item's position, which belongs into
    /// the log; `None`, and nothing done, if `index` is above the length.
    pub fn list_write(
        &mut self,
        state: u16,
        key: &[u8],
        index: u64,
        item: &[u8],
    ) -> Result<Option<u64>, StateError> {
        self.select(state, key);
        let (head, position) = match self.live_list()? {
            Live::Between(EMPTY) => {
                let state = &self.states[usize::from(state)];
                let is_timed = state.event_time || state.ttl_ms.is_some();
                let first = if is_timed { self.first_position() } else { 0 };
                (EMPTY, (index == 0).then_some(first))
            }
            Live::Between(head) => {
                let position = head.start.checked_add(index);
                (head, position.filter(|position| *position <= head.end))
            }
            Live::At(head, positions) => {
                let known = usize::try_from(index).ok().and_then(|index| positions.get(index));
                let next = (index == positions.len() as u64).then_some(head.end);
                (head, known.copied().or(next))
            }
        };
        if let Some(position) = position {
            self.write_item(state, head, position, item)?;
        }
        Ok(position)
    }

    /// Redoes the write of the item at `position`.
    pub fn list_redo(
        &mut self,
        state: u16,
        key: &[u8],
        position: u64,
        item: &[u8],
    ) -> Result<(), StateError> {
        self.select(state, key);
        let head = self.head()?;
        // Whoever wrote it saw a list that had expired as a whole.
        let began_anew = position > head.end && position == self.first_position();
        self.write_item(state, if began_anew { EMPTY } else { head }, position, item)
    }

    /// Removes all items of a list, without reading them.
    pub fn list_clear(&mut self, state: u16, key: &[u8]) -> Result<(), StateError> {
        self.select(state, key);
        self.clear_group();
        Ok(())
    }

    fn head(&mut self) -> Result<Head, StateError> {
        let now = self.now();
        let Some(id) = self.element(HEAD)? else { return Ok(EMPTY) };
        let Some(bytes) = self.groups.elements[id].live(now) else { return Ok(EMPTY) };
        Head::decode(bytes).ok_or_else(|| StateError::Damaged {
            dir: self.dir.clone(),
            fact: "the head of a list is malformed".to_owned(),
        })
    }

    /// Where a list with TTL begins that the running commit begins.
    fn first_position(&self) -> u64 {
        self.ledger.current << POSITIONS_PER_COMMIT_LOG2
    }

    fn put_head(&mut self, head: Head) {
        // It lives as long as any item.
        self.put_element(HEAD, Some(&head.encode()), head.latest);
    }

    /// What is live, after removing what has expired. That follows from the time alone, so the log need not tell.
    fn live_list(&mut self) -> Result<Live, StateError> {
        let stored = self.head()?;
        if stored.scattered {
            return self.live_positions(stored);
        }
        let mut head = stored;
        while head.timed && head.start < head.end && !self.is_live(head.start)? {
            self.put_element(&head.start.to_be_bytes(), None, NEVER);
            head.start += 1;
        }
        if head != stored {
            self.put_head(head);
        }
        Ok(Live::Between(head))
    }

    fn is_live(&mut self, position: u64) -> Result<bool, StateError> {
        let now = self.now();
        let id = self.element(&position.to_be_bytes())?;
        Ok(id.is_some_and(|id| self.groups.elements[id].live(now).is_some()))
    }

    /// Reads a whole scattered list, which may be one no longer.
    fn live_positions(&mut self, stored: Head) -> Result<Live, StateError> {
        let now = self.now();
        // Afterwards the cache holds all of it.
        self.scan(None, Limit::items(usize::MAX))?;
        let (mut live, mut expired) = (Vec::new(), Vec::new());
        let (mut before, mut ordered) = (i64::MIN, true);
        let group = self.groups.find(&self.prefix);
        let entries = group.map(|group| &self.groups.groups[group].entries);
        let range = stored.start.to_be_bytes()..stored.end.to_be_bytes();
        for (entry, &id) in entries.into_iter().flat_map(|all| {
            all.range::<[u8], _>((
                std::ops::Bound::Included(&range.start[..]),
                std::ops::Bound::Excluded(&range.end[..]),
            ))
        }) {
            let element = &self.groups.elements[id];
            let Some(position) = entry.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)) else {
                continue;
            };
            if element.live(now).is_some() {
                live.push(position);
                ordered &= before <= element.expiry;
                before = element.expiry;
            } else if element.value.is_some() {
                expired.push(position);
            }
        }
        for position in expired {
            self.put_element(&position.to_be_bytes(), None, NEVER);
        }
        let mut head = stored;
        head.start = live.first().copied().unwrap_or(head.end);
        let whole = live.len() as u64 == head.end - head.start;
        head.scattered = !(whole && ordered);
        if head != stored {
            self.put_head(head);
        }
        Ok(if head.scattered { Live::At(head, live) } else { Live::Between(head) })
    }

    fn items(
        &mut self,
        positions: impl Iterator<Item = u64>,
        bytes_max: usize,
    ) -> Result<Vec<(Vec<u8>, i64)>, StateError> {
        let now = self.now();
        let (mut items, mut bytes) = (Vec::new(), 0);
        for position in positions {
            if bytes >= bytes_max {
                break;
            }
            if let Some(id) = self.element(&position.to_be_bytes())? {
                let element = &self.groups.elements[id];
                if let Some(item) = element.live(now) {
                    bytes += item.len();
                    items.push((item.to_vec(), element.expiry));
                }
            }
        }
        Ok(items)
    }

    fn write_item(
        &mut self,
        state: u16,
        before: Head,
        position: u64,
        item: &[u8],
    ) -> Result<(), StateError> {
        let expiry = self.expiry(state, item);
        let mut head = before;
        if before == EMPTY {
            head.start = position;
        } else {
            head.start = head.start.min(position);
            head.scattered |= !(before.start..=before.end).contains(&position);
        }
        head.end = head.end.max(position + 1);
        head.latest = head.latest.max(expiry);
        head.timed |= expiry != NEVER || self.by_event_time;
        if position + 1 == head.end {
            head.scattered |= expiry < before.latest;
        } else if head.timed && !head.scattered {
            head.scattered = self.breaks_order(head, position, expiry)?;
        }
        self.put_element(&position.to_be_bytes(), Some(item), expiry);
        if head != before {
            self.put_head(head);
        }
        Ok(())
    }

    /// Whether an item that is not the last would expire before its predecessor or after its successor. Every write checks
    /// its own neighbours, so it does not matter which of them a redo finds already written.
    fn breaks_order(&mut self, head: Head, position: u64, expiry: i64) -> Result<bool, StateError> {
        let after = self.expiry_at(position + 1)?;
        let before = if position > head.start { self.expiry_at(position - 1)? } else { None };
        // A predecessor that is gone is in order, a successor that is gone is not.
        Ok(after.is_none_or(|after| after < expiry) || before.is_some_and(|before| before > expiry))
    }

    /// When the item at a position expires; `None` if there is none.
    fn expiry_at(&mut self, position: u64) -> Result<Option<i64>, StateError> {
        let id = self.element(&position.to_be_bytes())?;
        Ok(id
            .map(|id| &self.groups.elements[id])
            .filter(|item| item.value.is_some())
            .map(|item| item.expiry))
    }
}
