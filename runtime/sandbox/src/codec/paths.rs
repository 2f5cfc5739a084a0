//! The wanted JSON pointers as one tree, so that one pass over a document finds
//! the values of all of them.

use super::error::PointerError;

/// No node, or no target.
pub(super) const NONE: u32 = u32::MAX;

/// A place in a document on the way to wanted values.
#[derive(Debug)]
pub(super) struct Node {
    /// Index of the wanted value that is here, or [`NONE`].
    pub target: u32,
    /// Targets strictly below this node: they are numbered in pre-order.
    pub below: std::ops::Range<u32>,
    /// The next steps.
    pub children: Vec<Child>,
}

/// A step from a container to one of its values.
#[derive(Debug)]
pub(super) struct Child {
    /// First eight bytes of the name, little-endian, zeros behind.
    head: u64,
    /// The unescaped name in an object.
    name: Box<[u8]>,
    /// The index in an array, if the name is one.
    index: Option<usize>,
    /// The node it leads to.
    pub node: u32,
}

impl Node {
    /// The child for an object's key; `head` as made by [`head_of`].
    #[inline]
    pub fn member(&self, head: u64, name: &[u8]) -> u32 {
        for child in &self.children {
            if child.head == head
                && child.name.len() == name.len()
                && (name.len() <= 8 || child.name[8..] == name[8..])
            {
                return child.node;
            }
        }
        NONE
    }

    /// The child for an array's element.
    pub fn element(&self, index: usize) -> u32 {
        self.children.iter().find(|c| c.index == Some(index)).map_or(NONE, |c| c.node)
    }
}

/// The first eight bytes of a name as a number, zeros behind a shorter one.
#[inline]
pub(super) fn head_of(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let n = name.len().min(8);
    bytes[..n].copy_from_slice(&name[..n]);
    u64::from_le_bytes(bytes)
}

/// All wanted pointers. Node 0 is the whole document.
#[derive(Debug)]
pub(super) struct Paths {
    pub nodes: Vec<Node>,
    /// Number of distinct targets.
    pub targets: usize,
}

/// Nothing is wanted.
pub(super) static NOTHING: Paths = Paths { nodes: Vec::new(), targets: 0 };

impl Paths {
    /// The tree for `pointers`, and the target of each of them. Equal pointers share one.
    pub fn new(pointers: &[&str]) -> Result<(Self, Vec<u32>), PointerError> {
        let parsed = pointers.iter().map(|p| parse(p)).collect::<Result<Vec<_>, _>>()?;
        let mut sketch = Sketch::default();
        for tokens in &parsed {
            sketch.insert(tokens);
        }
        let mut paths = Self { nodes: Vec::new(), targets: 0 };
        paths.number(&sketch);
        let targets = parsed.iter().map(|tokens| paths.find(tokens)).collect();
        Ok((paths, targets))
    }

    /// Whether no pointer is wanted.
    pub fn is_empty(&self) -> bool {
        self.targets == 0
    }

    fn number(&mut self, sketch: &Sketch) -> u32 {
        let node = self.nodes.len();
        let target = if sketch.wanted {
            self.targets += 1;
            self.targets as u32 - 1
        } else {
            NONE
        };
        let start = self.targets as u32;
        self.nodes.push(Node { target, below: start..start, children: Vec::new() });
        for (name, child) in &sketch.children {
            let child = Child {
                head: head_of(name.as_bytes()),
                name: name.as_bytes().into(),
                index: array_index(name),
                node: self.number(child),
            };
            self.nodes[node].children.push(child);
        }
        self.nodes[node].below.end = self.targets as u32;
        node as u32
    }

    fn find(&self, tokens: &[String]) -> u32 {
        let mut node = &self.nodes[0];
        for token in tokens {
            let name = token.as_bytes();
            node = &self.nodes[node.member(head_of(name), name) as usize];
        }
        node.target
    }
}

/// The tree while pointers are added, before targets get their numbers.
#[derive(Default)]
struct Sketch {
    wanted: bool,
    children: Vec<(String, Sketch)>,
}

impl Sketch {
    fn insert(&mut self, tokens: &[String]) {
        let Some((first, rest)) = tokens.split_first() else {
            self.wanted = true;
            return;
        };
        let at = match self.children.iter().position(|(name, _)| name == first) {
            Some(at) => at,
            None => {
                self.children.push((first.clone(), Self::default()));
                self.children.len() - 1
            }
        };
        self.children[at].1.insert(rest);
    }
}

/// RFC 6901: an array index is 0 or has no leading zero.
fn array_index(token: &str) -> Option<usize> {
    let plain =
        token == "0" || (!token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit()));
    if plain { token.parse().ok() } else { None }
}

fn parse(pointer: &str) -> Result<Vec<String>, PointerError> {
    let error = |reason| PointerError { pointer: pointer.to_owned(), reason };
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rest) = pointer.strip_prefix('/') else {
        return Err(error("it is not empty and does not begin with /"));
    };
    let tokens: Vec<String> = rest
        .split('/')
        .map(|token| {
            let mut plain = String::with_capacity(token.len());
            let mut chars = token.chars();
            while let Some(c) = chars.next() {
                match (c, if c == '~' { chars.next() } else { None }) {
                    ('~', Some('0')) => plain.push('~'),
                    ('~', Some('1')) => plain.push('/'),
                    ('~', _) => return Err(error("~ is followed by neither 0 nor 1")),
                    (c, _) => plain.push(c),
                }
            }
            Ok(plain)
        })
        .collect::<Result<_, _>>()?;
    // A document may not nest deeper, so such a pointer never finds anything.
    if tokens.len() > super::scan::MAX_DEPTH {
        return Err(error("it has more than 127 steps"));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pointers_share_a_target_and_subtrees_are_contiguous() {
        let (paths, targets) = Paths::new(&["/a/b", "/c", "/a", "/a/0/x", "/c"]).unwrap();
        assert_eq!(targets, [1, 3, 0, 2, 3]);
        assert_eq!(paths.targets, 4);
        let a = paths.nodes[0].member(head_of(b"a"), b"a");
        assert_eq!(paths.nodes[a as usize].below, 1..3);
        assert_ne!(paths.nodes[a as usize].element(0), NONE);
    }

    #[test]
    fn long_names_and_escapes() {
        let (paths, targets) =
            Paths::new(&["/long-name-1", "/long-name-2", "/a~1b~0", ""]).unwrap();
        assert_eq!(paths.find(&["long-name-2".into()]), targets[1]);
        assert_eq!(paths.find(&["a/b~".into()]), targets[2]);
        assert_eq!(targets[3], 0);
        assert_eq!(paths.nodes[0].member(head_of(b"long-name-3"), b"long-name-3"), NONE);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for bad in ["a", "/~", "/~2", "/a~"] {
            assert!(Paths::new(&[bad]).is_err(), "{bad}");
        }
        assert_eq!(array_index("00"), None);
        assert_eq!(array_index("-"), None);
        assert_eq!(array_index("10"), Some(10));
    }
}
