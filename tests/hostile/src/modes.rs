//! What makes an enum, its facts and its `for_each` of a list of modes.

/// Makes an enum of modes. Each has a line that says what it does, a name, and its end. `$each` is a macro that hands
/// the enum's name and all variants to another macro.
macro_rules! modes {
    (
        $d:tt
        $(#[$about:meta])*
        $list:ident, $each:ident;
        $($(#[doc = $doc:literal])+ $variant:ident = $name:literal => $ends:expr;)+
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $list {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $list {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What it does.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+
                }
            }

            /// How it must end.
            pub fn ends(self) -> $crate::Ends {
                match self {
                    $(Self::$variant => $ends,)+
                }
            }

            /// The one of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        /// Calls a macro with the enum and its variants: `Enum: A B C`.
        #[macro_export]
        macro_rules! $each {
            ($d callback:ident) => {
                $d callback! { $list: $($variant)+ }
            };
        }
    };
}

pub(crate) use modes;
