//! "Did you mean": the nearest of the names that would have been right.

/// The candidate nearest to `found`, if it is near: at most a third of its letters, or one, differ.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = found.to_lowercase().replace('_', "-");
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Help for a name that is not among `candidates`: the nearest, or all of them.
pub fn help<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(candidate) = nearest(found, candidates.clone()) {
        return format!("did you mean `{candidate}`?");
    }
    let list: Vec<String> =
        candidates.into_iter().map(|candidate| format!("`{candidate}`")).collect();
    match list.len() {
        0 => "there are none".to_owned(),
        1 => format!("there is only {}", list[0]),
        _ => format!("use one of {}", list.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{help, nearest};

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["partitions", "inputs", "outputs", "on-error"];
        assert_eq!(nearest("partition", names), Some("partitions"));
        assert_eq!(nearest("input", names), Some("inputs"));
        assert_eq!(nearest("on_error", names), Some("on-error"));
        assert_eq!(nearest("onError", names), Some("on-error"));
        assert_eq!(nearest("zebra", names), None);
        assert_eq!(help("zebra", ["a", "b"]), "use one of `a`, `b`");
        assert_eq!(help("zebra", []), "there are none");
    }
}
