//! List states, kept as elements: an item under its position (u64, big endian), and a head under the empty entry key.
//!
//! The guest sees indexes: those of the items that have not expired, in order. The log's deltas name
//! positions, which stay what they are. They count up from 0; in a list with TTL, whose head expires with
//! its last item, they count up from the running commit's number times 2^20, so that positions only ever grow between
//! two clears (a commit holds fewer than 2^20 writes) and redoing old writes over a newer list does no harm.
//!
//! Items expire from the front as long as they expire in order; the head then only moves its start. A guest that
//! refreshes items out of order makes the list *scattered*: its live items are then found by reading all of it.

use crate::error::StateError;
use crate::keyed::{KeyedState, expiry};

/// Head of a list. Stored as start, end (u64), latest expiry (i64), flags (bit 0: timed, bit 1: scattered); little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    /// All items before this position have expired.
    start: u64,
    /// Position of the next item.
    end: u64,
    /// The largest expiry of any item; `i64::MAX` if one stays for ever.
    latest: i64,
    /// Some item was given an expiry.
    timed: bool,
    /// Items may expire in another order than that of their positions.
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

impl KeyedState {
    /// Number of items.
    pub fn list_length(&mut self, state: u16, key: &[u8]) -> Result<u64, StateError> {
        self.select(state, key);
        let head = self.live_head()?;
        if head.scattered {
            return Ok(self.live_positions(head)?.len() as u64);
        }
        Ok(head.end - head.start)
    }

    /// At most `limit` items from index `start` on.
    pub fn list_read(
        &mut self,
        state: u16,
        key: &[u8],
        start: u64,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StateError> {
        self.select(state, key);
        let head = self.live_head()?;
        if head.scattered {
            let positions = self.live_positions(head)?;
            let skipped = usize::try_from(start).unwrap_or(usize::MAX);
            return self.items(positions.into_iter().skip(skipped).take(limit));
        }
        let start = head.start.saturating_add(start);
        let end = start.saturating_add(limit as u64).min(head.end);
        self.items(start..end)
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
        let head = self.live_head()?;
        let position = if head == EMPTY {
            let first = match self.states[usize::from(state)].ttl_ms {
                Some(_) => self.ledger.current << POSITIONS_PER_COMMIT_LOG2,
                None => 0,
            };
            match index {
                0 => first,
                _ => return Ok(None),
            }
        } else if head.scattered {
            let positions = self.live_positions(head)?;
            match usize::try_from(index).ok().and_then(|index| positions.get(index)) {
                Some(&position) => position,
                None if index == positions.len() as u64 => head.end,
                None => return Ok(None),
            }
        } else {
            match head.start.checked_add(index) {
                Some(position) if position <= head.end => position,
                _ => return Ok(None),
            }
        };
        self.write_item(state, head, position, item)?;
        Ok(Some(position))
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
        self.write_item(state, head, position, item)
    }

    /// Removes all items of a list, without reading them.
    pub fn list_clear(&mut self, state: u16, key: &[u8]) -> Result<(), StateError> {
        self.select(state, key);
        self.clear_group();
        Ok(())
    }

    fn head(&mut self) -> Result<Head, StateError> {
        let now = self.ledger.now;
        let Some(id) = self.element(HEAD)? else { return Ok(EMPTY) };
        let Some(bytes) = self.groups.elements[id].live(now) else { return Ok(EMPTY) };
        Head::decode(bytes).ok_or_else(|| StateError::Damaged {
            dir: self.dir.clone(),
            fact: "the head of a list is malformed".to_owned(),
        })
    }

    fn put_head(&mut self, head: Head) {
        // It lives as long as any item.
        self.put_element(HEAD, Some(&head.encode()), head.latest);
    }

    /// The head after removing what has expired at the front.
    fn live_head(&mut self) -> Result<Head, StateError> {
        let mut head = self.head()?;
        let stored = head.start;
        while head.timed && head.start < head.end && !self.is_live(head.start)? {
            self.put_element(&head.start.to_be_bytes(), None, i64::MAX);
            head.start += 1;
        }
        if head.start != stored {
            // Follows from the time alone, so the log need not tell.
            self.put_head(head);
        }
        Ok(head)
    }

    fn is_live(&mut self, position: u64) -> Result<bool, StateError> {
        let now = self.ledger.now;
        let id = self.element(&position.to_be_bytes())?;
        Ok(id.is_some_and(|id| self.groups.elements[id].live(now).is_some()))
    }

    fn live_positions(&mut self, head: Head) -> Result<Vec<u64>, StateError> {
        let mut live = Vec::new();
        for position in head.start..head.end {
            if self.is_live(position)? {
                live.push(position);
            }
        }
        Ok(live)
    }

    fn items(&mut self, positions: impl Iterator<Item = u64>) -> Result<Vec<Vec<u8>>, StateError> {
        let now = self.ledger.now;
        let mut items = Vec::new();
        for position in positions {
            if let Some(id) = self.element(&position.to_be_bytes())?
                && let Some(item) = self.groups.elements[id].live(now)
            {
                items.push(item.to_vec());
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
        let expiry = expiry(self.ledger.now, self.states[usize::from(state)].ttl_ms);
        let mut head = before;
        if before == EMPTY {
            head.start = position;
        }
        head.end = head.end.max(position + 1);
        head.latest = head.latest.max(expiry);
        head.timed |= expiry != i64::MAX;
        if position + 1 == head.end {
            head.scattered |= expiry < before.latest;
        } else if head.timed {
            head.scattered |= self.breaks_order(head, position, expiry)?;
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
