//! Who changes something, for the runtime's records.

/// `user@host`, as the operating system says it.
pub fn actor() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let host = rustix::system::uname();
    format!(
        "{}@{}",
        user.as_deref().unwrap_or("unknown"),
        host.nodename().to_str().unwrap_or("unknown")
    )
}
