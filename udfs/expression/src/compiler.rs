//! Expressions, compiled once per instance.

use std::sync::Arc;

use cel::common::types::CelBool;
use cel::common::value::Val;
use cel::parser::{Expression as Ast, ParseErrors, PrattParser};
use cel::{Env, Value};
use millstream_udf::prelude::*;

use crate::analysis::{self, LEVELS_MAX, Needs};
use crate::exact::Exact;
use crate::scope::{META, RECORD, Scope};
use crate::value::Owned;
use crate::{fault, functions, raw, value};

/// Bytes of an expression, at most.
const SOURCE_BYTES_MAX: usize = 4_096;

/// Levels of brackets, at most: the parser goes down the stack for each.
const BRACKETS_MAX: usize = 32;

/// Compiles the expressions of a configuration, and learns what they need of a record.
pub struct Compiler {
    env: Arc<Env>,
    /// Names of the module's own variables, which are no fields.
    variables: Vec<String>,
    needs: Needs,
}

/// What to read of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Names of fields, in order.
    pub(crate) names: Vec<String>,
    pub(crate) whole: bool,
    uses_meta: bool,
}

/// A compiled expression of a setting.
pub struct Expression {
    setting: String,
    ast: Ast,
    env: Arc<Env>,
    path: Option<Vec<String>>,
}

impl Compiler {
    /// A compiler for expressions that also know these variables.
    pub fn new(variables: &[&str]) -> Result<Self> {
        let env = Arc::new(functions::environment()?);
        let variables = variables.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self { env, variables, needs: Needs::default() })
    }

    /// Compiles the expression of a setting. The error names the setting, and the line and column where there are any.
    pub fn compile(&mut self, setting: &str, source: &str) -> Result<Expression> {
        ensure!(!source.trim().is_empty(), "`{setting}` is empty; it must be an expression");
        ensure!(
            source.len() <= SOURCE_BYTES_MAX,
            "`{setting}` has {} bytes; an expression has {SOURCE_BYTES_MAX} at most",
            source.len()
        );
        ensure!(
            brackets(source) <= BRACKETS_MAX,
            "`{setting}` has more than {BRACKETS_MAX} levels of brackets"
        );
        let parser = PrattParser::default()
            .max_recursion_depth(LEVELS_MAX as u16)
            .enable_optional_syntax(true)
            .enable_ident_escape_syntax(true);
        let mut ast = parser.parse(source).map_err(|errors| refused(setting, &errors))?;
        let path = raw::path_of(&ast, &self.variables);
        analysis::analyse(&mut ast, &self.variables, &mut self.needs).map_err(|mistake| {
            let place =
                mistake.word.and_then(|word| source.find(&word)).map(|at| place(source, at));
            Error::new(format_args!(
                "`{setting}`{}: {}",
                place.unwrap_or_default(),
                mistake.message
            ))
        })?;
        Ok(Expression { setting: setting.into(), ast, env: self.env.clone(), path })
    }

    /// Refuses expressions that need more than the variables; `setting` is theirs.
    pub fn variables_only(&self, setting: &str) -> Result<()> {
        let unknown = match &self.needs {
            needs if needs.whole => Some(RECORD),
            needs if needs.meta => Some(META),
            needs => needs.fields.first().map(String::as_str),
        };
        match unknown {
            Some(name) => {
                bail!("`{setting}` knows {}, and not `{name}`", self.variables.join(", "))
            }
            None => Ok(()),
        }
    }

    /// What all the expressions need.
    pub fn plan(self) -> Plan {
        let Needs { fields, whole, meta } = self.needs;
        Plan { names: fields.into_iter().collect(), whole, uses_meta: meta }
    }
}

/// Levels of brackets, those in text included.
fn brackets(source: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// Line and column, counted from 1 in characters.
fn place(source: &str, at: usize) -> String {
    let before = &source[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(", line {line}, column {column}")
}

fn refused(setting: &str, errors: &ParseErrors) -> Error {
    let Some(first) = errors.errors.first() else {
        return Error::new(format_args!("`{setting}` is not an expression"));
    };
    match first.pos {
        (line, column) if line > 0 => {
            Error::new(format_args!("`{setting}`, line {line}, column {column}: {}", first.msg))
        }
        _ => Error::new(format_args!("`{setting}`: {}", first.msg)),
    }
}

impl Plan {
    /// Whether an expression uses `meta`.
    pub fn uses_meta(&self) -> bool {
        self.uses_meta
    }

    /// Whether nothing of the record is needed.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.whole
    }

    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        // A handful of short names: comparing them one by one is the fastest.
        self.names.iter().position(|known| known == name)
    }
}

impl Expression {
    /// Where it stands in the configuration.
    pub fn setting(&self) -> &str {
        &self.setting
    }

    /// The names of the path, if it only is a path to a field of the record.
    pub fn path(&self) -> Option<&[String]> {
        self.path.as_deref()
    }

    fn with<T>(&self, scope: &Scope<'_>, take: impl FnOnce(&dyn Val) -> Result<T>) -> Result<T> {
        let mut context = cel::Context::with_env(self.env.clone());
        context.set_variable_resolver(scope);
        let result = match Value::resolve_val(&self.ast, &context) {
            Ok(value) => take(value.as_ref()),
            Err(error) => Err(Error::new(fault::describe(&error))),
        };
        result.map_err(|error| error.context(format_args!("`{}`", self.setting)))
    }

    /// Whether it holds; an error if it is not a bool.
    pub fn test(&self, scope: &Scope<'_>) -> Result<bool> {
        self.with(scope, |value| match value.downcast_ref::<CelBool>() {
            Some(value) => Ok(*value.inner()),
            None => bail!("a condition is a bool, and it is a {}", fault::type_of(value)),
        })
    }

    /// Appends what it gives as JSON; whether there was anything, an empty optional being nothing.
    pub fn write(&self, scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<bool> {
        self.with(scope, |value| value::write(value, out))
    }

    /// The scalar that it gives; nothing for `null` and an empty optional.
    pub fn optional(&self, scope: &Scope<'_>) -> Result<Option<Owned>> {
        self.with(scope, |value| value::present(value).map(Owned::of).transpose())
    }

    /// The number that it gives, exactly; nothing for `null` and an empty optional.
    pub fn optional_exact(&self, scope: &Scope<'_>, scale: u8) -> Result<Option<Exact>> {
        self.with(scope, |value| match value::present(value) {
            Some(value) => functions::exact(value, scale).map(Some).map_err(Error::new),
            None => Ok(None),
        })
    }

    /// The scalar that it gives.
    pub fn scalar(&self, scope: &Scope<'_>) -> Result<Owned> {
        self.with(scope, Owned::of)
    }
}
