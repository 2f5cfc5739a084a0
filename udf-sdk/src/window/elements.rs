//! All elements of a window.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::aggregate::Contents;
use super::span::Span;
use crate::describe::{self, StateKind};
use crate::state::{Map, Opening, StateField, encoded_len};

/// Elements of a block at most.
const BLOCK_ELEMENTS_MAX: usize = 32;
/// Bytes of a block before its last element, at most.
const BLOCK_BYTES_MAX: usize = 1024;

/// All elements of a window, for `Windows<Elements<T>>`: the handler gets a `Fired<Vec<T>>`. They are kept in blocks of
/// up to 32, each a map entry of its own, so that adding one costs the same in a full window as in an empty one.
/// All of them must fit the memory and the fuel of the firing, which 2,000 records with a few short texts do; an
/// [`Aggregate`](super::Aggregate) has no such limit.
///
/// They come in the order of arrival. Where sessions merged, those of the earlier one come first.
#[derive(Serialize, Deserialize)]
#[serde(bound = "T: Serialize + DeserializeOwned")]
pub struct Elements<T> {
    parts: Vec<Part>,
    /// The last elements, which are in no block yet.
    last: Vec<T>,
    last_bytes: usize,
}

/// Blocks that were filled under one name: a window has more than one part where sessions merged, since blocks do not
/// move.
#[derive(Serialize, Deserialize)]
struct Part {
    /// The window as it was first. No two open windows of a key have a part in common.
    window: Span,
    blocks: u32,
    elements: usize,
}

/// Start and end of a part's window, and the block's number.
type Entry = (i64, (i64, u32));

impl Part {
    fn entry(&self, block: u32) -> Entry {
        (self.window.start, (self.window.end, block))
    }
}

impl<T> Default for Elements<T> {
    fn default() -> Self {
        Self { parts: Vec::new(), last: Vec::new(), last_bytes: 0 }
    }
}

impl<T> Elements<T> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.elements).sum::<usize>() + self.last.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Serialize + DeserializeOwned> Elements<T> {
    /// Makes a block of the last elements.
    fn close_block(&mut self, blocks: &mut Map<Entry, Vec<T>>) {
        let Some(part) = self.parts.last_mut() else { return };
        if self.last.is_empty() {
            return;
        }
        blocks.insert(&part.entry(part.blocks), &self.last);
        part.blocks += 1;
        part.elements += self.last.len();
        self.last.clear();
        self.last_bytes = 0;
    }
}

impl<T: Clone + Serialize + DeserializeOwned> Contents for Elements<T> {
    type Input<'i> = T;
    type Result = Vec<T>;
    type Beside = Map<Entry, Vec<T>>;

    fn declare(named: &describe::State, states: &mut Vec<describe::State>) {
        let name = format!("{}_elements", named.name);
        states.push(describe::State { name, kind: StateKind::Map, ..named.clone() });
    }

    fn open(opening: &mut Opening) -> Self::Beside {
        <Self::Beside as StateField>::open(opening)
    }

    #[inline]
    fn select(beside: &mut Self::Beside, key: u32) {
        StateField::select(beside, key);
    }

    fn add(&mut self, element: &T, window: Span, beside: &mut Self::Beside) {
        if self.parts.is_empty() {
            self.parts.push(Part { window, blocks: 0, elements: 0 });
        }
        self.last.push(element.clone());
        self.last_bytes += encoded_len(element);
        if self.last.len() >= BLOCK_ELEMENTS_MAX || self.last_bytes >= BLOCK_BYTES_MAX {
            self.close_block(beside);
        }
    }

    fn merge(&mut self, later: Self, beside: &mut Self::Beside) {
        self.close_block(beside);
        self.parts.extend(later.parts);
        self.last = later.last;
        self.last_bytes = later.last_bytes;
    }

    fn result(&self, beside: &Self::Beside) -> Vec<T> {
        let mut elements = Vec::with_capacity(self.len());
        for part in self.parts.iter().filter(|part| part.blocks > 0) {
            let first = part.entry(0);
            let others = beside.iter_after(&first).take(part.blocks as usize - 1);
            let first = beside.get(&first).unwrap_or_default();
            elements.extend(std::iter::once(first).chain(others.map(|(_, block)| block)).flatten());
        }
        elements.extend_from_slice(&self.last);
        elements
    }

    fn discard(self, beside: &mut Self::Beside) {
        for part in &self.parts {
            for block in 0..part.blocks {
                beside.remove(&part.entry(block));
            }
        }
    }
}
