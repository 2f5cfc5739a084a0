//! How a guest must end.

/// What must become of a guest. The text is part of what the operator is told, or of what the guest logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// It never runs: the upload is refused.
    Refused(Refusal, &'static str),
    /// It runs, and its call traps or breaks the contract: the record is a dead letter, the next call has a new instance.
    Trapped(&'static str),
    /// Its call refuses the record in the way that the contract provides.
    Failed(&'static str),
    /// It answers, and nothing of what it tried has happened. It logs a line with this text; none if that is empty.
    Answers(&'static str),
}

/// Why an upload is refused: the variant of the sandbox's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The file is larger than allowed.
    TooLarge,
    /// The file is not WebAssembly.
    NotWasm,
    /// The file is a core module.
    CoreModule,
    /// The component is broken or uses what is switched off.
    Invalid,
    /// The component wants what no UDF gets.
    ForbiddenImport,
    /// The component is not a UDF.
    NoGuest,
    /// An import or export has another type than in the contract.
    WrongType,
    /// `describe`, or the start before it, fails.
    Describe,
    /// What `describe` says is not allowed.
    Description,
    /// Compiling it takes more memory or time than it may.
    TooCostly,
}

impl Ends {
    /// In words, for the table.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Refused(..) => "refused at upload",
            Self::Trapped(_) => "trap",
            Self::Failed(_) => "failure",
            Self::Answers(_) => "answers",
        }
    }

    /// What is said.
    pub fn says(self) -> &'static str {
        match self {
            Self::Refused(_, says)
            | Self::Trapped(says)
            | Self::Failed(says)
            | Self::Answers(says) => says,
        }
    }
}
