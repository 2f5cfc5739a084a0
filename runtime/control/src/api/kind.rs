//! Which operations there are, as data: who may do them is a table over this list ([`crate::access::rule`]).

/// Declares the operations with their names.
macro_rules! kinds {
    ($($kind:ident = $name:literal),* $(,)?) => {
        /// An operation of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`")] $kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            /// Last part of its subject, such as `pipeline.apply`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    AccessIdentity = "access.identity",
    AccessWhoAmI = "access.whoami",
    AccessCan = "access.can",
    AccessConsent = "access.consent",
    AccessList = "access.ls",
    AccessGrant = "access.grant",
    AccessRevoke = "access.revoke",
    AuditHead = "audit.head",
    AuditList = "audit.ls",
    ChangeApprove = "change.approve",
    ChangeList = "change.ls",
    ChangeReject = "change.reject",
    ChangeShow = "change.show",
    CheckpointList = "checkpoint.ls",
    CheckpointNow = "checkpoint.now",
    CheckpointShow = "checkpoint.show",
    CheckpointVerify = "checkpoint.verify",
    DeadLetterDrop = "dlq.drop",
    DeadLetterList = "dlq.ls",
    DeadLetterRedrive = "dlq.redrive",
    DeadLetterShow = "dlq.show",
    Info = "info",
    Lag = "lag",
    LocalCheckpoint = "local.checkpoint",
    LocalCheckpoints = "local.checkpoints",
    LocalGoOn = "local.go-on",
    LocalHeld = "local.held",
    LocalLogs = "local.logs",
    LocalSavepoint = "local.savepoint",
    LocalStateGet = "local.state.get",
    LocalStateList = "local.state.ls",
    LocalStatus = "local.status",
    LocalVerify = "local.checkpoints.verify",
    LogsLast = "logs.last",
    ModuleList = "module.ls",
    ModulePush = "module.push",
    ModuleRemove = "module.rm",
    ModuleShow = "module.show",
    NodeDescribe = "node.describe",
    NodeDrain = "node.drain",
    NodeList = "node.ls",
    NodeResume = "node.resume",
    PipelineApply = "pipeline.apply",
    PipelineDelete = "pipeline.delete",
    PipelineDescribe = "pipeline.describe",
    PipelineGet = "pipeline.get",
    PipelineList = "pipeline.ls",
    PipelinePause = "pipeline.pause",
    PipelineRescale = "pipeline.rescale",
    PipelineResume = "pipeline.resume",
    PipelineStop = "pipeline.stop",
    PipelineValidate = "pipeline.validate",
    SavepointCreate = "savepoint.create",
    SavepointList = "savepoint.ls",
    SavepointRemove = "savepoint.rm",
    SavepointRestore = "savepoint.restore",
    StateGet = "state.get",
    StateList = "state.ls",
}

impl Kind {
    /// The operation of this name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_read_back() {
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(Kind::ALL.iter().all(|kind| Kind::named(kind.name()) == Some(*kind)));
        assert_eq!(Kind::named("pipeline.frobnicate"), None);
    }
}
