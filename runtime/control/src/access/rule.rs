//! The one table that says who may ask what.

use super::Role::{self, Approver, Auditor, Developer, Operator, Viewer};
use crate::api::Kind;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Shows how things are: no records, no state.
    Look,
    /// Shows records or state: the trail says who saw them.
    Data,
    /// Changes something: the trail says who did it, before and after.
    Change,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Everybody, signed or not: what a client must know in order to sign.
    Anybody,
    /// Users with one of these roles.
    Users(Effect, &'static [Role]),
    /// The other nodes of the cluster.
    Nodes,
}

/// Any role at all.
const ANY: &[Role] = &[Viewer, Developer, Approver, Operator, Auditor];

/// Who may ask this.
pub const fn rule(kind: Kind) -> Rule {
    use Effect::{Change, Data, Look};
    match kind {
        Kind::AccessIdentity | Kind::AccessWhoAmI | Kind::AccessCan => Rule::Anybody,

        Kind::Info
        | Kind::Lag
        | Kind::ChangeList
        | Kind::ChangeShow
        | Kind::CheckpointList
        | Kind::CheckpointShow
        | Kind::ModuleList
        | Kind::ModuleShow
        | Kind::NodeDescribe
        | Kind::NodeList
        | Kind::PipelineDescribe
        | Kind::PipelineGet
        | Kind::PipelineList
        | Kind::PipelineValidate
        | Kind::SavepointList => Rule::Users(Look, ANY),
        Kind::CheckpointVerify => Rule::Users(Look, &[Developer, Operator, Auditor]),
        Kind::AccessList | Kind::AuditHead | Kind::AuditList => {
            Rule::Users(Look, &[Operator, Auditor])
        }

        Kind::LogsLast | Kind::DeadLetterList => Rule::Users(Data, &[Developer, Operator]),
        Kind::DeadLetterShow | Kind::StateGet | Kind::StateList => Rule::Users(Data, &[Developer]),

        Kind::ChangeApprove => Rule::Users(Change, &[Approver]),
        Kind::ChangeReject => Rule::Users(Change, &[Approver, Developer]),
        Kind::ModulePush | Kind::PipelineApply | Kind::SavepointRestore => {
            Rule::Users(Change, &[Developer])
        }
        Kind::CheckpointNow
        | Kind::DeadLetterRedrive
        | Kind::PipelinePause
        | Kind::PipelineResume
        | Kind::PipelineStop
        | Kind::SavepointCreate => Rule::Users(Change, &[Developer, Operator]),
        Kind::AccessConsent
        | Kind::AccessGrant
        | Kind::AccessRevoke
        | Kind::DeadLetterDrop
        | Kind::ModuleRemove
        | Kind::NodeDrain
        | Kind::NodeResume
        | Kind::PipelineDelete
        | Kind::PipelineRescale
        | Kind::SavepointRemove => Rule::Users(Change, &[Operator]),

        Kind::LocalCheckpoint
        | Kind::LocalCheckpoints
        | Kind::LocalGoOn
        | Kind::LocalHeld
        | Kind::LocalLogs
        | Kind::LocalSavepoint
        | Kind::LocalStateGet
        | Kind::LocalStateList
        | Kind::LocalStatus
        | Kind::LocalVerify => Rule::Nodes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_change_something_is_a_developer_or_an_operator_or_consents() {
        for kind in Kind::ALL {
            if let Rule::Users(effect, roles) = rule(*kind) {
                assert!(!roles.is_empty(), "{kind:?}");
                let consents = matches!(kind, Kind::ChangeApprove | Kind::ChangeReject);
                let others = roles.iter().any(|role| match role {
                    Developer | Operator => false,
                    Approver => !consents,
                    Viewer | Auditor => true,
                });
                assert!(effect == Effect::Look || !others, "{kind:?}: {roles:?}");
            }
        }
    }

    #[test]
    fn code_is_the_developers_and_grants_are_the_operators() {
        let may = |role, kind| matches!(rule(kind), Rule::Users(_, roles) if roles.contains(&role));
        for kind in [Kind::ModulePush, Kind::PipelineApply, Kind::SavepointRestore] {
            assert!(may(Developer, kind) && !may(Operator, kind), "{kind:?}");
        }
        for kind in [Kind::AccessGrant, Kind::AccessRevoke, Kind::PipelineDelete] {
            assert!(may(Operator, kind) && !may(Developer, kind), "{kind:?}");
        }
        assert!(!may(Operator, Kind::StateGet), "who runs it sees no state");
    }

    #[test]
    fn nodes_operations_are_the_local_ones() {
        for kind in Kind::ALL {
            let is_local = kind.name().starts_with("local.");
            assert_eq!(rule(*kind) == Rule::Nodes, is_local, "{kind:?}");
        }
    }
}
