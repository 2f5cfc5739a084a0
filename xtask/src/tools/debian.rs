//! Takes one program out of a package of another Debian release.
//!
//! Installing such a package would pull in half of that release, set up users and start services. So the package is
//! downloaded and unpacked into a folder of ours instead: apt runs with package lists, caches and
//! preferences of its own, and nothing of the system is touched. Where to download from is copied from the
//! machine's own configuration; what is downloaded is verified by apt against Debian's archive keys.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::native::is_root;
use crate::process::run;

/// Where Debian's archive keys are, in the order of preference.
const KEY_RINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
];

/// Fetches `package` of the release `suite` into the empty folder `scratch` and returns the path of `file` in it.
/// Fails on systems that are not Debian.
pub fn program(suite: &str, package: &str, file: &str, scratch: &Path) -> Result<PathBuf> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let Some(codename) = debian_codename(&release) else {
        bail!("this is not Debian, so {package} is not fetched for you");
    };
    let uri = archive(&apt_sources()?, &codename)
        .with_context(|| format!("apt has no source for Debian {codename}, component main"))?;
    let keys = KEY_RINGS
        .iter()
        .find(|path| Path::new(path).is_file())
        .context("Debian's archive keys are not installed (package debian-archive-keyring)")?;

    let folders = Folders::create(scratch)?;
    fs::write(folders.sources.join("release.sources"), source(&uri, suite, keys))
        .context("write the source of packages")?;
    run(folders.apt_get()?.args(["--quiet", "update"]))
        .with_context(|| format!("read the package lists of Debian {suite}"))?;
    run(folders.apt_get()?.args(["--quiet", "download", package]).current_dir(&folders.download))
        .with_context(|| format!("download {package} of Debian {suite}"))?;

    let archive = only_file(&folders.download)?;
    run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&folders.unpacked))
        .with_context(|| format!("unpack {}", archive.display()))?;
    let program = folders.unpacked.join(file);
    if !program.is_file() {
        bail!("the package {package} of Debian {suite} has no {file}");
    }
    Ok(program)
}

/// The folders of an apt that knows nothing of the system's.
struct Folders {
    sources: PathBuf,
    preferences: PathBuf,
    lists: PathBuf,
    archives: PathBuf,
    download: PathBuf,
    unpacked: PathBuf,
}

impl Folders {
    fn create(scratch: &Path) -> Result<Self> {
        let create = |name: &str| -> Result<PathBuf> {
            let folder = scratch.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
            Ok(folder)
        };
        create("lists/partial")?;
        create("archives/partial")?;
        Ok(Self {
            sources: create("sources")?,
            preferences: create("preferences")?,
            lists: create("lists")?,
            archives: create("archives")?,
            download: create("download")?,
            unpacked: create("unpacked")?,
        })
    }

    fn apt_get(&self) -> Result<Command> {
        let mut command = Command::new("apt-get");
        let mut set = |name: &str, value: &Path| {
            let mut option = OsString::from(name);
            option.push("=");
            option.push(value);
            command.arg("-o").arg(option);
        };
        set("Dir::Etc::SourceList", Path::new("/dev/null"));
        set("Dir::Etc::SourceParts", &self.sources);
        set("Dir::Etc::Preferences", Path::new("/dev/null"));
        set("Dir::Etc::PreferencesParts", &self.preferences);
        set("Dir::State::Lists", &self.lists);
        set("Dir::Cache::archives", &self.archives);
        set("Dir::Cache::pkgcache", Path::new(""));
        set("Dir::Cache::srcpkgcache", Path::new(""));
        set("Acquire::Languages", Path::new("none"));
        if is_root()? {
            // The user that apt would change to cannot write into a folder of root's.
            set("APT::Sandbox::User", Path::new("root"));
        }
        Ok(command)
    }
}

/// The source of packages, in apt's deb822 format. A mirror may lag, so its date is not judged; its signature is.
fn source(uri: &str, suite: &str, keys: &str) -> String {
    format!(
        "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nTargets: Packages\nSigned-By: {keys}\n\
         Check-Valid-Until: no\n"
    )
}

/// The name of the release that this machine runs, if it is Debian's.
fn debian_codename(os_release: &str) -> Option<String> {
    let field = |name: &str| {
        os_release.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key == name).then(|| value.trim_matches('"').to_owned())
        })
    };
    if field("ID")? != "debian" {
        return None;
    }
    field("VERSION_CODENAME")
}

/// The text of every file that apt reads its sources from.
fn apt_sources() -> Result<Vec<String>> {
    let mut paths = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "list" || extension == "sources")
            })
            .collect();
        parts.sort();
        paths.extend(parts);
    }
    paths
        .iter()
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).with_context(|| format!("read {}", path.display())))
        .collect()
}

/// The address of the archive that has the component `main` of this release, as either format of apt writes it.
fn archive(sources: &[String], codename: &str) -> Option<String> {
    sources.iter().find_map(|text| {
        archive_of_stanzas(text, codename).or_else(|| archive_of_lines(text, codename))
    })
}

/// deb822: paragraphs of `Field: value`.
fn archive_of_stanzas(text: &str, codename: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines.split(|line| line.trim().is_empty()).find_map(|stanza| {
        let words = |name: &str| -> Vec<&str> {
            let value = stanza.iter().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then_some(value)
            });
            value.unwrap_or_default().split_whitespace().collect()
        };
        let disabled =
            words("Enabled").first().is_some_and(|value| value.eq_ignore_ascii_case("no"));
        let fits = words("Types").contains(&"deb")
            && words("Suites").iter().any(|suite| names_release(suite, codename))
            && words("Components").contains(&"main");
        (fits && !disabled).then(|| words("URIs").first().map(|uri| (*uri).to_owned())).flatten()
    })
}

/// The older format: `deb [options] uri suite component...`.
fn archive_of_lines(text: &str, codename: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        let fits = names_release(suite, codename)
            && !uri.starts_with("cdrom:")
            && words.any(|component| component == "main");
        fits.then(|| uri.to_owned())
    })
}

/// A source may follow the release by its name or by its state. Updates and security have suites of their own.
fn names_release(suite: &str, codename: &str) -> bool {
    suite == codename || ["oldstable", "stable", "testing", "unstable", "sid"].contains(&suite)
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)
        .with_context(|| format!("list {}", folder.display()))?
        .collect::<Result<Vec<_>, _>>()?;
    match (files.pop(), files.pop()) {
        (Some(file), None) => Ok(file.path()),
        _ => bail!("{} does not hold exactly one package", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_the_archive_from_paragraphs() {
        let text = "# made by an installer\nTypes: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\n\
                    Components: main\n\nTypes: deb deb-src\nURIs: http://mirror.example/debian http://second.example\n\
                    Suites: bookworm bookworm-updates\nComponents: main contrib\nSigned-By: /k.gpg\n";
        assert_eq!(
            archive(&[text.into()], "bookworm").as_deref(),
            Some("http://mirror.example/debian")
        );
        assert_eq!(archive(&[text.into()], "trixie"), None);
    }

    #[test]
    fn copies_the_archive_from_lines() {
        let text = "deb cdrom:[Debian]/ bookworm main\ndeb-src http://mirror.example/src bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian stable main contrib\n";
        assert_eq!(
            archive(&[text.into()], "bookworm").as_deref(),
            Some("https://mirror.example/debian")
        );
    }

    #[test]
    fn a_disabled_source_is_no_source() {
        let text = "Enabled: no\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n";
        assert_eq!(archive(&[text.into()], "bookworm"), None);
    }

    #[test]
    fn only_debian_is_debian() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(debian_codename(debian).as_deref(), Some("bookworm"));
        assert_eq!(debian_codename("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n"), None);
        assert_eq!(debian_codename(""), None);
    }
}
