//! A guest of any list.

use crate::{Assembled, Bomb, Built, Command, Ends, Shape};

/// One hostile or broken module, or one thing that such a module does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// What `misbehave` does on a record.
    Command(Command),
    /// What `shaped` is.
    Shape(Shape),
    /// What is assembled.
    Assembled(Assembled),
    /// What is costly to compile.
    Bomb(Bomb),
    /// What has a crate of its own.
    Built(Built),
}

impl Guest {
    /// All of them, list by list.
    pub fn all() -> impl Iterator<Item = Self> {
        let commands = Command::ALL.iter().copied().map(Self::Command);
        let shapes = Shape::ALL.iter().copied().map(Self::Shape);
        let assembled = Assembled::ALL.iter().copied().map(Self::Assembled);
        let bombs = Bomb::ALL.iter().copied().map(Self::Bomb);
        let built = Built::ALL.iter().copied().map(Self::Built);
        commands.chain(shapes).chain(assembled).chain(bombs).chain(built)
    }

    /// Its name, unique within its list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Command(it) => it.name(),
            Self::Shape(it) => it.name(),
            Self::Assembled(it) => it.name(),
            Self::Bomb(it) => it.name(),
            Self::Built(it) => it.name(),
        }
    }

    /// What it does.
    pub fn about(self) -> &'static str {
        match self {
            Self::Command(it) => it.about(),
            Self::Shape(it) => it.about(),
            Self::Assembled(it) => it.about(),
            Self::Bomb(it) => it.about(),
            Self::Built(it) => it.about(),
        }
    }

    /// How it must end.
    pub fn ends(self) -> Ends {
        match self {
            Self::Command(it) => it.ends(),
            Self::Shape(it) => it.ends(),
            Self::Assembled(it) => it.ends(),
            Self::Bomb(it) => it.ends(),
            Self::Built(it) => it.ends(),
        }
    }

    /// The module's file. `dist` gives the file of a guest of `tests/guests` by its name.
    #[cfg(not(target_family = "wasm"))]
    pub fn wasm(self, dist: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
        match self {
            Self::Command(_) => dist("misbehave"),
            Self::Shape(shape) => shape.written_into(dist("shaped")),
            Self::Assembled(assembled) => crate::assemble::wasm(assembled, &dist),
            Self::Bomb(bomb) => crate::assemble::bomb(bomb),
            Self::Built(built) => dist(built.name()),
        }
    }
}
