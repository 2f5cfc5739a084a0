//! What can be known of an expression before the first record: whether its functions exist, how deep it is, and which
//! fields it needs. In passing, what CEL leaves open is closed, see `functions.rs`.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::parser::Expression as Ast;

use crate::functions::{ARITHMETIC, FUNCTIONS, METHODS, NAMESPACES, ORDERED, Signature};
use crate::scope::{META, RECORD};

/// Levels of an expression, at most: evaluation goes down the stack.
pub const LEVELS_MAX: usize = 64;

/// Operators that the interpreter knows by themselves.
const OPERATORS: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
    operators::IN,
    operators::NOT_STRICTLY_FALSE,
];

/// What expressions need of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Fields by name.
    pub fields: BTreeSet<String>,
    /// The record as a value.
    pub whole: bool,
    /// What is known beside the payload.
    pub meta: bool,
}

/// A mistake, and the word in the expression that it is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    pub message: String,
    pub word: Option<String>,
}

fn mistake<T>(message: impl Into<String>, word: Option<&str>) -> Result<T, Mistake> {
    Err(Mistake { message: message.into(), word: word.map(str::to_owned) })
}

/// Goes through an expression. `variables` are names that are no fields.
pub fn analyse(ast: &mut Ast, variables: &[String], needs: &mut Needs) -> Result<(), Mistake> {
    Analysis { needs, bound: variables.to_vec() }.visit(ast, 0)
}

struct Analysis<'n> {
    needs: &'n mut Needs,
    /// Names that are no fields: the module's variables and those of comprehensions.
    bound: Vec<String>,
}

impl Analysis<'_> {
    fn is_bound(&self, name: &str) -> bool {
        self.bound.iter().any(|bound| bound == name)
    }

    fn is_record(&self, ast: &Ast) -> bool {
        matches!(&ast.expr, Expr::Ident(name) if name == RECORD && !self.is_bound(name))
    }

    fn name(&mut self, name: &str) {
        let plain = name.strip_prefix('.');
        if plain.is_none() && self.is_bound(name) {
            return;
        }
        match plain.unwrap_or(name) {
            RECORD => self.needs.whole = true,
            META => self.needs.meta = true,
            field => drop(self.needs.fields.insert(field.to_owned())),
        }
    }

    fn visit(&mut self, ast: &mut Ast, level: usize) -> Result<(), Mistake> {
        if level > LEVELS_MAX {
            return mistake(format!("the expression is more than {LEVELS_MAX} levels deep"), None);
        }
        match &mut ast.expr {
            Expr::Unspecified => mistake("the expression is incomplete", None),
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                self.name(name);
                Ok(())
            }
            Expr::Select(select) if self.is_record(&select.operand) => {
                self.needs.fields.insert(select.field.clone());
                Ok(())
            }
            Expr::Select(select) => self.visit(&mut select.operand, level + 1),
            Expr::Call(call) => self.call(call, level),
            Expr::List(list) => {
                list.elements.iter_mut().try_for_each(|item| self.visit(item, level + 1))
            }
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&mut entry.key, level + 1)?;
                    self.visit(&mut entry.value, level + 1)
                }
                EntryExpr::StructField(_) => {
                    mistake("a field stands where an entry of a map is due", None)
                }
            }),
            Expr::Struct(message) => {
                let name = &message.type_name;
                mistake(
                    format!("there is no message `{name}`: there are no messages at all"),
                    Some(name),
                )
            }
            Expr::Comprehension(comprehension) => {
                self.visit(&mut comprehension.accu_init, level + 1)?;
                self.visit(&mut comprehension.iter_range, level + 1)?;
                let range = std::mem::take(&mut comprehension.iter_range);
                let (id, func_name) = (range.id, ORDERED.to_owned());
                let call = CallExpr { func_name, target: None, args: vec![range] };
                comprehension.iter_range = Ast { id, expr: Expr::Call(call) };
                let outer = self.bound.len();
                self.bound.push(comprehension.accu_var.clone());
                self.bound.push(comprehension.iter_var.clone());
                self.bound.extend(comprehension.iter_var2.clone());
                self.visit(&mut comprehension.loop_cond, level + 1)?;
                self.visit(&mut comprehension.loop_step, level + 1)?;
                self.visit(&mut comprehension.result, level + 1)?;
                self.bound.truncate(outer);
                Ok(())
            }
        }
    }

    fn call(&mut self, call: &mut CallExpr, level: usize) -> Result<(), Mistake> {
        if let [operand, index] = &call.args[..]
            && [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT]
                .contains(&call.func_name.as_str())
            && self.is_record(operand)
            && let Expr::Literal(LiteralValue::String(name)) = &index.expr
        {
            self.needs.fields.insert(name.inner().to_owned());
            return Ok(());
        }
        if let Some((_, function)) = ARITHMETIC
            .iter()
            .find(|(operator, _)| call.target.is_none() && *operator == call.func_name)
        {
            // A comprehension's own `accumulator + [item]` is known to the interpreter, which then appends.
            let accumulates =
                matches!(&call.args[0].expr, Expr::Ident(name) if name.starts_with('@'));
            if !accumulates {
                call.func_name = (*function).to_owned();
            }
        } else if call.target.is_some() || !OPERATORS.contains(&call.func_name.as_str()) {
            self.check(call)?;
        }
        if let Some(target) = &mut call.target
            && !self.is_namespace_of(target)
        {
            self.visit(target, level + 1)?;
        }
        call.args.iter_mut().try_for_each(|arg| self.visit(arg, level + 1))
    }

    fn is_namespace_of(&self, target: &Ast) -> bool {
        matches!(&target.expr, Expr::Ident(name) if NAMESPACES.contains(&name.as_str()) && !self.is_bound(name))
    }

    /// Checks a function's name and its number of arguments.
    fn check(&self, call: &CallExpr) -> Result<(), Mistake> {
        let name = &call.func_name;
        let (full, known, kind) = match &call.target {
            Some(target) if self.is_namespace_of(target) => match &target.expr {
                Expr::Ident(namespace) => (format!("{namespace}.{name}"), FUNCTIONS, "function"),
                _ => (name.clone(), FUNCTIONS, "function"),
            },
            Some(_) => (name.clone(), METHODS, "method"),
            None => (name.clone(), FUNCTIONS, "function"),
        };
        let Some(Signature(_, min, max)) = known.iter().find(|Signature(known, ..)| *known == full)
        else {
            return mistake(format!("there is no {kind} `{full}`"), Some(name));
        };
        let given = call.args.len();
        if !(*min..=*max).contains(&given) {
            let wanted = if min == max { min.to_string() } else { format!("{min} to {max}") };
            return mistake(
                format!("`{full}` takes {wanted} arguments, and is given {given}"),
                Some(name),
            );
        }
        Ok(())
    }
}
