//! What is granted to whom, and the decision that follows from it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::role::any_of;
use super::rule::{Effect, Rule, rule};
use super::{PublicKey, Role, Target};
use crate::api::Kind;
use crate::errors;
use crate::manifest::check_name;
use crate::problem::Problem;

/// Most grants of a cluster.
pub const GRANTS_MAX: usize = 1_000;
/// Most characters of a user's name.
pub const NAME_CHARACTERS_MAX: usize = 64;
/// Most patterns of a grant.
pub const PATTERNS_MAX: usize = 100;

/// What is granted in a cluster: one JSON document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessDocument {
    /// One per key.
    pub grants: Vec<Grant>,
    /// Whether what a developer applies needs the consent of somebody else, who is an approver.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub consent: bool,
}

/// What is granted to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The user's public nkey.
    pub key: PublicKey,
    /// Name of the user, for people and for the record.
    pub name: String,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// Names of the pipelines that it may change and whose data it may see, with `*` at the end for all that begin so; empty:
    /// all, and whatever is no pipeline's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pipelines: Vec<String>,
    /// When it was granted, milliseconds since 1970 UTC.
    #[serde(default)]
    pub granted_at_ms: i64,
    /// Who granted it.
    #[serde(default)]
    pub granted_by: String,
}

impl Grant {
    /// Whether it reaches what a request is about. How things are may be seen by everybody who is granted anything.
    fn reaches(&self, effect: Effect, target: &Target) -> bool {
        if effect == Effect::Look || self.pipelines.is_empty() {
            return true;
        }
        let Some(pipeline) = &target.pipeline else { return false };
        self.pipelines.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => pipeline.starts_with(beginning),
            None => pattern == pipeline,
        })
    }

    /// Whether it lets its holder grant.
    fn may_grant(&self) -> bool {
        self.roles.contains(&Role::Operator) && self.pipelines.is_empty()
    }

    fn check(&self) -> Result<(), Problem> {
        let refuse = |message: String| Err(Problem::new(errors::GRANT_INVALID, message));
        if !self.key.is_users() {
            return refuse(format!("{} is no user's public key", self.key)).map_err(|problem| {
                problem.help(
                    "a user's public nkey begins with U; `nsc` and `nk -gen user -pubout` make one",
                )
            });
        }
        let characters = self.name.chars().count();
        let printable = self.name.chars().all(|c| !c.is_control());
        if characters == 0 || characters > NAME_CHARACTERS_MAX || !printable {
            return refuse(format!(
                "a user's name has 1 to {NAME_CHARACTERS_MAX} printable characters, this one has {characters}"
            ));
        }
        if self.roles.is_empty() {
            return refuse(format!("{} is granted no role", self.name)).map_err(|problem| {
                problem.help("`millstream access revoke` takes everything from a key")
            });
        }
        if self.pipelines.len() > PATTERNS_MAX {
            let count = self.pipelines.len();
            return refuse(format!("{count} pipelines are named, at most {PATTERNS_MAX} can be"));
        }
        for pattern in &self.pipelines {
            let beginning = pattern.strip_suffix('*').unwrap_or(pattern);
            if let Err(message) = check_name(beginning) {
                return refuse(format!("no pipeline can have the name {pattern:?}: {message}"))
                    .map_err(|problem| {
                        problem
                            .help("name a pipeline, or the beginning of names with `*` behind it")
                    });
            }
        }
        Ok(())
    }
}

/// Why something is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nothing is granted to the key.
    Stranger,
    /// The operation is one that nodes ask each other.
    NodesOnly,
    /// It needs one of these roles.
    Role(&'static [Role]),
    /// The roles would do, for other pipelines.
    Scope,
}

impl Denied {
    /// A few words.
    pub fn reason(&self) -> String {
        match self {
            Denied::Stranger => "nothing is granted to this key".to_owned(),
            Denied::NodesOnly => "only nodes ask this of each other".to_owned(),
            Denied::Role(roles) => format!("it needs the role {}", any_of(roles)),
            Denied::Scope => "it is granted for other pipelines only".to_owned(),
        }
    }
}

impl AccessDocument {
    /// The grant of a key.
    pub fn grant(&self, key: &PublicKey) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.key == *key)
    }

    /// Whether the holder of a key may do this.
    ///
    /// # Errors
    /// Why not.
    pub fn decide(&self, key: &PublicKey, kind: Kind, target: &Target) -> Result<&Grant, Denied> {
        let grant = self.grant(key).ok_or(Denied::Stranger)?;
        match rule(kind) {
            Rule::Anybody => Ok(grant),
            Rule::Nodes => Err(Denied::NodesOnly),
            Rule::Users(_, roles) if !roles.iter().any(|role| grant.roles.contains(role)) => {
                Err(Denied::Role(roles))
            }
            Rule::Users(effect, _) if !grant.reaches(effect, target) => Err(Denied::Scope),
            Rule::Users(..) => Ok(grant),
        }
    }

    /// With a grant instead of what the key had.
    ///
    /// # Errors
    /// MS1608 for what cannot be granted, MS1609 if nobody could grant any more.
    pub fn with(&self, grant: Grant) -> Result<AccessDocument, Problem> {
        grant.check()?;
        if let Some(other) = self.grants.iter().find(|o| o.name == grant.name && o.key != grant.key)
        {
            let message = format!("the name {} is that of another key, {}", other.name, other.key);
            return Err(Problem::new(errors::GRANT_INVALID, message)
                .help("give this key another name: the trail names users by it"));
        }
        let mut grants: Vec<Grant> =
            self.grants.iter().filter(|other| other.key != grant.key).cloned().collect();
        grants.push(grant);
        if grants.len() > GRANTS_MAX {
            let message = format!(
                "{} keys would be granted something, at most {GRANTS_MAX} can be",
                grants.len()
            );
            return Err(Problem::new(errors::GRANT_INVALID, message));
        }
        AccessDocument { grants, ..*self }.governed()
    }

    /// Without what a key or name had; none: it had nothing.
    ///
    /// # Errors
    /// MS1609 if nobody could grant any more.
    pub fn without(&self, user: &str) -> Result<Option<AccessDocument>, Problem> {
        let is_meant = |grant: &&Grant| grant.key.as_str() == user || grant.name == user;
        if !self.grants.iter().any(|grant| is_meant(&grant)) {
            return Ok(None);
        }
        let grants = self.grants.iter().filter(|grant| !is_meant(grant)).cloned().collect();
        AccessDocument { grants, ..*self }.governed().map(Some)
    }

    /// Sorted, if somebody can change it later.
    ///
    /// # Errors
    /// MS1608 for a grant that cannot be, MS1609 if nobody may grant.
    pub fn governed(mut self) -> Result<AccessDocument, Problem> {
        self.grants.sort_by(|a, b| a.name.cmp(&b.name));
        for grant in &self.grants {
            grant.check()?;
        }
        if !self.grants.iter().any(Grant::may_grant) {
            return Err(Problem::new(
                errors::NO_OPERATOR_LEFT,
                "nobody would be left who may grant and revoke",
            )
            .help("grant the role operator, for all pipelines, to somebody first"));
        }
        if self.consent && !self.grants.iter().any(|grant| grant.roles.contains(&Role::Approver)) {
            return Err(Problem::new(
                errors::NO_APPROVER,
                "changes would need consent, and nobody is an approver",
            )
            .help("grant the role approver to somebody first: `millstream access grant KEY --name NAME --role approver`"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> PublicKey {
        super::super::SigningKey::user([number; 32]).public()
    }

    fn grant(number: u8, roles: &[Role], pipelines: &[&str]) -> Grant {
        Grant {
            key: key(number),
            name: format!("user-{number}"),
            roles: roles.iter().copied().collect(),
            pipelines: pipelines.iter().map(|p| (*p).to_owned()).collect(),
            granted_at_ms: 0,
            granted_by: String::new(),
        }
    }

    fn document(grants: &[Grant]) -> AccessDocument {
        grants
            .iter()
            .try_fold(AccessDocument::default(), |document, grant| document.with(grant.clone()))
            .unwrap()
    }

    #[test]
    fn a_role_a_pipeline_and_a_key_decide() {
        let document = document(&[
            grant(1, &[Role::Operator], &[]),
            grant(2, &[Role::Developer], &["fraud", "card-*"]),
            grant(3, &[Role::Viewer, Role::Auditor], &[]),
        ]);
        let may =
            |number, kind, target: &Target| document.decide(&key(number), kind, target).map(drop);
        let of = |name: &str| Target::pipeline(name);
        assert_eq!(may(2, Kind::PipelineApply, &of("fraud")), Ok(()));
        assert_eq!(may(2, Kind::PipelineApply, &of("card-limits")), Ok(()));
        assert_eq!(may(2, Kind::PipelineApply, &of("fraud-2")), Err(Denied::Scope));
        assert_eq!(may(2, Kind::StateGet, &of("ledger")), Err(Denied::Scope));
        assert_eq!(may(2, Kind::ModulePush, &Target::named("x")), Err(Denied::Scope));
        assert_eq!(may(2, Kind::PipelineGet, &of("ledger")), Ok(()), "how it is may be seen");
        assert_eq!(
            may(1, Kind::PipelineApply, &of("fraud")),
            Err(Denied::Role(&[Role::Developer]))
        );
        assert_eq!(may(1, Kind::PipelineDelete, &of("fraud")), Ok(()));
        assert_eq!(may(3, Kind::AccessList, &Target::default()), Ok(()));
        assert_eq!(
            may(3, Kind::PipelinePause, &of("fraud")),
            Err(Denied::Role(&[Role::Developer, Role::Operator]))
        );
        assert_eq!(may(9, Kind::PipelineList, &Target::default()), Err(Denied::Stranger));
        assert_eq!(may(1, Kind::LocalStateGet, &Target::default()), Err(Denied::NodesOnly));
    }

    #[test]
    fn somebody_can_always_grant() {
        let nobody = AccessDocument::default();
        let code = |result: Result<AccessDocument, Problem>| result.unwrap_err().code;
        assert_eq!(code(nobody.with(grant(1, &[Role::Viewer], &[]))), errors::NO_OPERATOR_LEFT);
        assert_eq!(
            code(nobody.with(grant(1, &[Role::Operator], &["p"]))),
            errors::NO_OPERATOR_LEFT
        );
        let one = nobody.with(grant(1, &[Role::Operator], &[])).unwrap();
        assert_eq!(one.without("user-1").unwrap_err().code, errors::NO_OPERATOR_LEFT);
        assert_eq!(code(one.with(grant(1, &[Role::Viewer], &[]))), errors::NO_OPERATOR_LEFT);
        let two = one.with(grant(2, &[Role::Operator], &[])).unwrap();
        assert_eq!(
            two.without(key(1).as_str()).unwrap().unwrap().grants,
            [grant(2, &[Role::Operator], &[])]
        );
        assert_eq!(two.without("user-7").unwrap(), None);
    }

    #[test]
    fn what_makes_no_sense_is_not_granted() {
        let document = document(&[grant(1, &[Role::Operator], &[])]);
        let node = super::super::SigningKey::node([5; 32]).public();
        for wrong in [
            grant(2, &[], &[]),
            grant(2, &[Role::Viewer], &["Fraud"]),
            grant(2, &[Role::Viewer], &["*"]),
            Grant { name: String::new(), ..grant(2, &[Role::Viewer], &[]) },
            Grant { name: "a\nb".into(), ..grant(2, &[Role::Viewer], &[]) },
            Grant { name: "user-1".into(), ..grant(2, &[Role::Viewer], &[]) },
            Grant { key: node, ..grant(2, &[Role::Viewer], &[]) },
        ] {
            assert_eq!(
                document.with(wrong.clone()).unwrap_err().code,
                errors::GRANT_INVALID,
                "{wrong:?}"
            );
        }
    }
}
