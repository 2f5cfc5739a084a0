//! Storage with stable small indexes.

/// A vector whose items keep their index until removed.
pub(crate) struct Slab<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Adds an item and returns its index.
    pub fn insert(&mut self, item: T) -> u32 {
        if let Some(i) = self.free.pop() {
            self.items[i as usize] = Some(item);
            return i;
        }
        let i = u32::try_from(self.items.len()).expect("fewer than 2^32 cached items");
        self.items.push(Some(item));
        i
    }

    /// Removes an item. Panics when there is none.
    pub fn remove(&mut self, i: u32) -> T {
        let item = self.items[i as usize].take().expect("the index is of a live item");
        self.free.push(i);
        item
    }

    pub fn get(&self, i: u32) -> Option<&T> {
        self.items.get(i as usize)?.as_ref()
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    /// One more than the largest index ever used.
    pub fn bound(&self) -> usize {
        self.items.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().flatten()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, i: u32) -> &T {
        self.items[i as usize].as_ref().expect("the index is of a live item")
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, i: u32) -> &mut T {
        self.items[i as usize].as_mut().expect("the index is of a live item")
    }
}
