//! A Debian 13 system in a folder: the compilers that the kernel wants, and QEMU. What the machine's own apt is
//! configured with (mirror, proxy, checks) holds for it too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::cache::Cache;
use super::steps::Step;
use crate::packages::{self, Package};

/// The release in the folder.
const SUITE: &str = "trixie";

/// QEMU with vfio-user-pci is newer than the release.
const QEMU: &[&str] = &["qemu-system-x86", "qemu-system-data", "seabios"];

/// What builds the kernel, its Rust parts and modules, and checks them. libelf and libdw are of the backports
/// because QEMU brings one of them from there.
const COMPILERS: &[&str] = &[
    "linux-source-7.3/trixie-backports",
    "libelf-dev/trixie-backports",
    "libdw1t64/trixie-backports",
    "bc",
    "bindgen",
    "bison",
    "busybox-static",
    "clang",
    "dwarves",
    "flex",
    "gcc",
    "kmod",
    "libc6-dev",
    "libclang-dev",
    "libssl-dev",
    "lld",
    "llvm",
    "make",
    "perl-base",
    "python3-minimal",
    "rust-clippy",
    "rust-src",
    "rustc",
    "rustfmt",
    "sparse",
    "xz-utils",
];

/// What the machine itself needs to make the folder.
const HOST: &[Package] = &[
    Package {
        name: "mmdebstrap",
        present: || packages::on_path("mmdebstrap") || packages::on_path("debootstrap"),
        without: "no Debian system can be made, so nothing is tested in a VM",
    },
    Package {
        name: "debian-archive-keyring",
        present: || Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").is_file(),
        without: "Debian's packages cannot be verified, so nothing is tested in a VM",
    },
];

/// Where the packages come from and how.
struct Source {
    mirror: String,
    settings: String,
}

impl Source {
    /// The machine's own mirror, or the one that VINCI_DEBIAN_MIRROR names.
    fn find() -> Result<Self> {
        let mirror = match std::env::var("VINCI_DEBIAN_MIRROR") {
            Ok(mirror) if !mirror.is_empty() => mirror,
            _ => {
                let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
                let targets = output("apt-get", &["indextargets", "--format", format])?;
                mirror_of(&targets).context(
                    "apt on this machine has no mirror of Debian: set VINCI_DEBIAN_MIRROR to one, \
                     such as your country's",
                )?
            }
        };
        Ok(Self { mirror, settings: settings_of(&output("apt-config", &["dump"])?) })
    }

    fn lists(&self) -> Vec<String> {
        let line = |suffix| format!("deb {} {SUITE}{suffix} main", self.mirror);
        ["", "-updates", "-backports"].into_iter().map(line).collect()
    }
}

/// The first target of Debian's main archive among lines of "address release component".
fn mirror_of(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (uri, release, component) = (words.next()?, words.next()?, words.next()?);
        let uri = uri.trim_end_matches('/');
        let debian = uri.rsplit('/').next().is_some_and(|folder| folder == "debian");
        let web = uri.starts_with("http://") || uri.starts_with("https://");
        (debian && web && component == "main" && !release.ends_with("-security")).then(|| uri.to_owned())
    })
}

/// The settings that say how to fetch: proxies, retries, checks of dates.
fn settings_of(dump: &str) -> String {
    const KINDS: &[&str] =
        &["Acquire::http", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv", "Acquire::Queue-Mode"];
    dump.lines()
        .filter(|line| KINDS.iter().any(|kind| line.starts_with(kind)) && !line.ends_with(" \"\";"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn output(program: &str, args: &[&str]) -> Result<String> {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output();
    let out = out.with_context(|| format!("{program}: the VM is made from Debian's packages, by apt"))?;
    if !out.status.success() {
        bail!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Enters the folder: in mounts of its own, so that nothing stays mounted. Arguments: the folder, the script, and
/// pairs of a folder of the machine and where it is seen, for reading.
const ENTER: &str = r#"set -e
root=$1 script=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
for f in resolv.conf hosts; do [ ! -e /etc/$f ] || cp -L /etc/$f "$root/etc/$f"; done
while [ $# -gt 0 ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    mount -o remount,bind,ro "$root$2"
    shift 2
done
exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive \
    /bin/sh -ec "$script"
"#;

/// Installs what the machine itself must have. Each answer is a sentence about something that is not there or not
/// allowed, without which nothing can be tested in a VM.
pub fn missing() -> Vec<String> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return vec!["the VM is for Linux on x86-64: the kernel home is not tested on this machine".into()];
    }
    let mut unshare = packages::as_root("unshare");
    let out = unshare.args(["--mount", "--", "true"]).stdin(Stdio::null()).output();
    let why = match out {
        Ok(out) if out.status.success() => return packages::install(&[HOST]),
        Ok(out) => String::from_utf8_lossy(&out.stderr).trim().to_owned(),
        Err(e) => e.to_string(),
    };
    let how = "run as root, as a user with sudo, or in a container with --cap-add SYS_ADMIN";
    vec![format!("no right to mount ({why}), so nothing is tested in a VM: {how}")]
}

/// The folder.
pub struct Chroot {
    root: PathBuf,
}

impl Chroot {
    /// The folder of `cache`, made or not.
    pub fn of(cache: &Cache) -> Self {
        Self { root: cache.chroot() }
    }

    /// Where `inside` is, seen from the machine.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// A shell script that runs in it as root, with folders of the machine where it can read them.
    pub fn command(&self, script: &str, binds: &[(&Path, &str)]) -> Command {
        let proxies = ["http_proxy", "https_proxy", "no_proxy"].into_iter().filter_map(|name| {
            let value = std::env::var(name).ok()?;
            Some(format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
        });
        let script = proxies.collect::<String>() + script;
        let mut c = packages::as_root("unshare");
        c.args(["--mount", "--", "/bin/sh", "-c", ENTER, "sh"]).arg(&self.root).arg(script);
        for (from, to) in binds {
            c.arg(from).arg(to);
        }
        c
    }

    /// The steps that make it.
    pub fn steps(&self) -> Vec<Step<'_>> {
        let base = Step {
            name: "base",
            title: format!("Debian {SUITE}, smallest system"),
            recipe: SUITE.into(),
            lines: 0,
            make: Box::new(|log| {
                let part = self.root.with_extension("part");
                for old in [&part, &self.root] {
                    log.check(packages::as_root("rm").args(["-rf", "--one-file-system"]).arg(old))?;
                }
                let source = Source::find()?;
                log.check(&mut bootstrap(&part, &source))?;
                log.check(packages::as_root("mv").arg(&part).arg(&self.root))?;
                log.check(&mut self.command(&configuration(&source), &[]))
            }),
        };
        let install = |name, title: &str, list: &'static [&'static str], lines| Step {
            name,
            title: title.into(),
            recipe: list.join(" "),
            lines,
            make: Box::new(move |log| log.check(&mut self.command(&install(list), &[]))),
        };
        vec![
            base,
            install("qemu", "QEMU", QEMU, 280),
            install("compilers", "compilers, the kernel's source", COMPILERS, 615),
        ]
    }
}

/// The command that fills `folder`. In mounts of its own: should it be killed, it leaves none behind.
fn bootstrap(folder: &Path, source: &Source) -> Command {
    let mut c = packages::as_root("unshare");
    c.args(["--mount", "--"]);
    if packages::on_path("mmdebstrap") {
        c.arg("mmdebstrap");
        c.args(["--variant=minbase", "--mode=root", "--dpkgopt=force-unsafe-io"]);
        c.args(source.settings.lines().map(|line| format!("--aptopt={line}")));
        c.arg(SUITE).arg(folder).args(source.lists());
        return c;
    }
    c.args(["debootstrap", "--variant=minbase", SUITE]).arg(folder).arg(&source.mirror);
    c
}

/// Writes how the folder's own apt fetches, and leaves out what nobody reads there.
fn configuration(source: &Source) -> String {
    let lists = source.lists().join("\n");
    let settings = &source.settings;
    format!(
        r#"rm -f /etc/apt/sources.list.d/*
cat > /etc/apt/sources.list <<'END'
{lists}
END
cat > /etc/apt/apt.conf.d/90vinci <<'END'
{settings}APT::Install-Recommends "false";
Acquire::Languages "none";
END
cat > /etc/dpkg/dpkg.cfg.d/90vinci <<'END'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
END
# https mirrors need to be verified.
case '{lists}' in *https://*) apt-get -qq update; apt-get -y install ca-certificates ;; esac
"#
    )
}

/// Installs packages; an installation that was interrupted is finished first.
fn install(list: &[&str]) -> String {
    let names: BTreeSet<_> = list.iter().copied().collect();
    let names = names.into_iter().collect::<Vec<_>>().join(" ");
    // Only QEMU is asked for by name alone and wanted in the newer version.
    let target = if list == QEMU { "-t trixie-backports " } else { "" };
    format!("dpkg --configure -a\napt-get -qq update\napt-get -y {target}install {names}\napt-get clean\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_machine_s_own() {
        let targets = "http://a.example/debian-security/ bookworm-security main\n\
                       http://b.example/nodesource/ nodistro main\n\
                       http://c.example/mirrors/debian/ bookworm contrib\n\
                       http://c.example/mirrors/debian/ bookworm main\n";
        assert_eq!(mirror_of(targets).as_deref(), Some("http://c.example/mirrors/debian"));
        assert_eq!(mirror_of("http://a.example/ubuntu/ noble main\n"), None);
    }

    #[test]
    fn proxies_are_kept_and_hooks_are_not() {
        let dump = "APT::Update::Post-Invoke:: \"rm x\";\nAcquire::http::Proxy \"http://p.example:3142\";\n\
                    Acquire::https \"\";\nAcquire::Check-Date \"false\";\n";
        let expected = "Acquire::http::Proxy \"http://p.example:3142\";\nAcquire::Check-Date \"false\";\n";
        assert_eq!(settings_of(dump), expected);
    }
}
