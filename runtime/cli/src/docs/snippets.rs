//! What the pages show: every call of `millstream` parses, every manifest is one, and JSON is JSON.

use std::fs;
use std::path::Path;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use millstream_control::manifest::Document;
use serde_json::{Map, Value, json};

use super::fences::{Fence, fences};
use super::root;
use crate::cli::Cli;

const PROGRAM: &str = "millstream";

/// What clap says of an option whose value is left out.
const NO_VALUE: ContextValue = ContextValue::String(String::new());

/// Fields of a manifest and of a stage; a snippet shows some of them.
const OF_A_MANIFEST: [&str; 6] =
    ["name", "checkpoint-interval", "checkpoints", "sources", "stages", "sinks"];
const OF_A_STAGE: [&str; 6] = ["module", "inputs", "config", "outputs", "partitions", "on-error"];

/// Checks one page; says what is wrong as `path:line: why`.
fn check(path: &str, page: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for fence in fences(page) {
        let place = format!("{path}:{}", fence.line);
        let found = match fence.info.split(' ').next().unwrap_or_default() {
            "sh" => not_accepted(&fence.body),
            "console" => not_accepted(&typed(&fence.body)),
            "yaml" => read_manifest(&place, &fence).err().into_iter().collect(),
            "json" => read_json(&fence.body).err().into_iter().collect(),
            "ndjson" => fence.body.lines().filter_map(|line| read_json(line).err()).collect(),
            _ => Vec::new(),
        };
        wrong.extend(found.into_iter().map(|why: String| format!("{place}: {why}")));
    }
    for call in quoted_calls(page) {
        wrong.extend(parse_call(&call, true).err().map(|why| format!("{path}: {why}")));
    }
    wrong
}

/// The calls of `millstream` in a script, each as its words.
fn calls(script: &str) -> Vec<Vec<String>> {
    let is_program = |word: &String| word.rsplit('/').next() == Some(PROGRAM);
    let mut calls = commands(script);
    calls.retain(|words| words.first().is_some_and(is_program));
    calls
}

/// What is wrong with the calls of a script.
fn not_accepted(script: &str) -> Vec<String> {
    calls(script).iter().filter_map(|call| parse_call(call, false).err()).collect()
}

/// What was typed in a session: the lines behind `$`.
fn typed(session: &str) -> String {
    session.lines().filter_map(|line| line.strip_prefix("$ ")).collect::<Vec<_>>().join("\n")
}

/// Splits a script into commands and words, as far as pages need it: quotes, comments, lines that go on, pipes, lists
/// and redirections. Nothing is expanded.
fn commands(script: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    // The word behind `>` or `<` is a file.
    let mut into_file = false;
    let mut chars = script.chars().peekable();
    while let Some(c) = chars.next() {
        let quoted = matches!(c, '\'' | '"');
        if quoted {
            let word = word.get_or_insert_default();
            word.extend(chars.by_ref().take_while(|next| *next != c));
            continue;
        }
        if c == '\\' {
            match chars.next() {
                Some('\n') | None => {}
                Some(next) => word.get_or_insert_default().push(next),
            }
            continue;
        }
        let ends = c.is_whitespace() || "|&;()<>".contains(c);
        let comment = c == '#' && word.is_none();
        if !ends && !comment {
            word.get_or_insert_default().push(c);
            continue;
        }
        if let Some(word) = word.take()
            && !std::mem::take(&mut into_file)
            && !(matches!(c, '<' | '>') && word.chars().all(|c| c.is_ascii_digit()))
        {
            commands.last_mut().expect("never empty").push(word);
        }
        match c {
            '<' | '>' => into_file = true,
            '#' => while chars.next_if(|next| *next != '\n').is_some() {},
            '\n' | '|' | '&' | ';' | '(' | ')' => commands.push(Vec::new()),
            _ => {}
        }
    }
    if let Some(word) = word
        && !into_file
    {
        commands.last_mut().expect("never empty").push(word);
    }
    commands
}

/// Calls in running text: code that begins with the program's name.
fn quoted_calls(page: &str) -> Vec<Vec<String>> {
    let mut inside = false;
    let prose = page.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    let prose = prose.collect::<Vec<_>>().join("\n");
    let code = prose.split('`').skip(1).step_by(2);
    code.filter(|code| code.starts_with("millstream ")).flat_map(calls).collect()
}

/// The real command line must accept it. A call that is only `named` may leave out what it needs: `millstream apply`.
fn parse_call(words: &[String], named: bool) -> Result<(), String> {
    use ErrorKind::*;
    // A page may speak of any command.
    if words.get(1).is_some_and(|word| word == "COMMAND") {
        return Ok(());
    }
    match Cli::try_parse_from(words).map_err(|error| (error.kind(), error)) {
        Ok(_) | Err((DisplayHelp | DisplayVersion, _)) => Ok(()),
        Err((MissingRequiredArgument | DisplayHelpOnMissingArgumentOrSubcommand, _)) if named => {
            Ok(())
        }
        Err((InvalidValue, error))
            if named && error.get(ContextKind::InvalidValue) == Some(&NO_VALUE) =>
        {
            Ok(())
        }
        Err((_, error)) => Err(format!("`{}`: {error}", words.join(" "))),
    }
}

fn read_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("`{text}`: {error}"))
}

/// The real parser must accept it, as it stands or, if it is a part, with the rest added.
fn read_manifest(place: &str, fence: &Fence) -> Result<(), String> {
    let value: Value = serde_saphyr::from_str(&fence.body).map_err(|error| error.to_string())?;
    let Value::Object(fields) = value else {
        return Err("a manifest is a mapping".to_owned());
    };
    let whole = ["name", "sources", "stages"].iter().all(|field| fields.contains_key(*field));
    let text = if whole { fence.body.clone() } else { Value::Object(complete(fields)).to_string() };
    Document::parse(place, &text).map(drop).map_err(|problems| problems.to_string())
}

/// Adds what a part of a manifest leaves out: what must be there, and what is referred to.
fn complete(part: Map<String, Value>) -> Map<String, Value> {
    let is_stage = part.keys().all(|field| OF_A_STAGE.contains(&field.as_str()));
    let mut manifest = if is_stage { object(json!({"stages": {"stage": part}})) } else { part };
    let known = manifest.keys().any(|field| OF_A_MANIFEST.contains(&field.as_str()));
    if !known {
        return manifest;
    }
    let mut sources = take(&mut manifest, "sources");
    let mut stages = take(&mut manifest, "stages");
    let mut sinks = take(&mut manifest, "sinks");
    if stages.is_empty() {
        stages.insert("stage".to_owned(), json!({}));
    }
    if sources.is_empty() {
        sources.insert("source".to_owned(), json!({"stream": "STREAM"}));
    }
    let all: Map<String, Value> =
        sources.keys().map(|source| (source.clone(), json!({"key": "none"}))).collect();
    let mut others = Vec::new();
    for stage in stages.values_mut().filter_map(Value::as_object_mut) {
        stage.entry("module").or_insert(json!("module@1.0.0"));
        let inputs = stage.entry("inputs").or_insert(Value::Object(all.clone()));
        for input in inputs.as_object().into_iter().flat_map(Map::keys) {
            match input.split_once('.') {
                Some((stage, _)) => others.push(stage.to_owned()),
                None => drop(sources.entry(input).or_insert(json!({"stream": "STREAM"}))),
            }
        }
        for to in stage.get("outputs").and_then(Value::as_object).into_iter().flat_map(Map::values)
        {
            let several = to.as_array().map_or(std::slice::from_ref(to), Vec::as_slice);
            for sink in several.iter().filter_map(Value::as_str) {
                sinks.entry(sink).or_insert(json!({"subject": "subject"}));
            }
        }
    }
    for stage in others {
        stages.entry(stage).or_insert(json!({"module": "module@1.0.0", "inputs": all}));
    }
    manifest.entry("name").or_insert(json!("name"));
    manifest.insert("sources".to_owned(), Value::Object(sources));
    manifest.insert("stages".to_owned(), Value::Object(stages));
    manifest.insert("sinks".to_owned(), Value::Object(sinks));
    manifest
}

fn take(manifest: &mut Map<String, Value>, section: &str) -> Map<String, Value> {
    manifest.remove(section).map(object).unwrap_or_default()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("a section is a mapping, not {other}"),
    }
}

/// Every page of the checkout, without folders of output and of templates.
fn pages(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of the checkout") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            let skipped = name.starts_with('.') || ["target", "dist"].contains(&name.as_str());
            if !skipped && !path.join("CACHEDIR.TAG").exists() {
                pages(&path, found);
            }
        } else if name.ends_with(".md") {
            let page = fs::read_to_string(&path).expect("a page is UTF-8");
            found.push((path.display().to_string(), page));
        }
    }
}

#[test]
fn what_the_pages_show_is_true() {
    let mut found = Vec::new();
    pages(&root(), &mut found);
    assert!(found.iter().any(|(path, _)| path.ends_with("docs/tutorial.md")), "no tutorial");
    let wrong: Vec<String> = found.iter().flat_map(|(path, page)| check(path, page)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn scripts_are_split_as_a_shell_does() {
    let script = "cd a # millstream no\n./x/millstream get 'a b' \\\n  -o \"c|d\" | grep x >out 2> err && millstream lag; ls\n";
    let calls: Vec<String> = calls(script).iter().map(|words| words.join(",")).collect();
    assert_eq!(calls, ["./x/millstream,get,a b,-o,c|d", "millstream,lag"]);
    assert_eq!(commands("a >b c")[0], ["a", "c"]);
}

#[test]
fn calls_that_do_not_parse_are_found() {
    let page = |line: &str| check("a.md", &format!("```sh\n{line}\n```\n"));
    assert_eq!(page("millstream get -o json && echo done"), [""; 0]);
    assert_eq!(page("millstream get --help"), [""; 0]);
    for wrong in ["millstream fetch", "cd x; millstream get --all-of-it", "millstream dlq drop"] {
        let found = page(wrong);
        assert!(found.len() == 1 && found[0].starts_with("a.md:1: `millstream "), "{found:?}");
    }
    assert_eq!(check("a.md", "Say `millstream get`, or `millstream COMMAND --help`."), [""; 0]);
    // Named in passing, a call may leave out what it needs.
    assert_eq!(
        check("a.md", "`millstream dlq drop`, `millstream state`, `millstream new --template`"),
        [""; 0]
    );
    let session = "```console\n$ millstream get\nmillstream is not typed\n$ millstream got\n```\n";
    assert_eq!(check("a.md", session).len(), 1);
    assert_eq!(check("a.md", "Say\n`millstream got`.").len(), 1);
    assert_eq!(check("a.md", "Say `millstream apply --quickly`.").len(), 1);
}

#[test]
fn manifests_that_are_none_are_found() {
    let page = |yaml: &str| check("a.md", &format!("```yaml\n{yaml}\n```\n"));
    for part in [
        "sources:\n  a: { stream: A, watermark: { bound: 5s } }",
        "  inputs:\n    minutes.sums: { key: same }",
        "stages:\n  a:\n    inputs: { x: { key: none } }\n    outputs: { o: [p, q] }",
        "name: whole\nsources: { a: { stream: A } }\nstages: { s: { module: m@1.0.0, inputs: { a: { key: none } } } }",
    ] {
        assert_eq!(page(part), [""; 0], "{part}");
    }
    for wrong in [
        "sources:\n  a: { stream: A, watermark: { bounds: 5s } }",
        "stages: [",
        "- a\n- b",
        "window: 5s",
        "inputs: { a: { key: { pointer: id } } }",
        // Whole, so nothing is added to it.
        "name: whole\nsources: { a: { stream: A } }\nstages: { s: { module: m@1.0.0, inputs: { b: { key: none } } } }",
    ] {
        assert_eq!(page(wrong).len(), 1, "{wrong}");
    }
}

#[test]
fn json_that_is_none_is_found() {
    assert_eq!(check("a.md", "```json\n{\n\"a\": 1}\n```\n"), [""; 0]);
    assert_eq!(check("a.md", "```json\n{\"a\": }\n```\n").len(), 1);
    assert_eq!(check("a.md", "```ndjson\n{\"a\":1}\n{\"a\":\n```\n").len(), 1);
}
