//! The guest's root file system: an archive in the format that the kernel unpacks at boot.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// A "newc" cpio archive in memory.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    seen: BTreeSet<PathBuf>,
}

impl Archive {
    /// A header of thirteen hexadecimal fields, the name, the content; both padded to four bytes.
    fn entry(&mut self, path: &Path, mode: u32, device: (u32, u32), content: &[u8]) -> Result<()> {
        let name = path.to_string_lossy();
        let name = name.trim_start_matches('/');
        let size = u32::try_from(content.len()).with_context(|| format!("{name}: larger than 4 GiB"))?;
        self.entries += 1;
        let (major, minor) = device;
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name.len() as u32 + 1, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A folder and those above it.
    pub fn folder(&mut self, path: &str) -> Result<()> {
        let mut above: Vec<_> = Path::new(path).ancestors().collect();
        above.pop();
        for folder in above.into_iter().rev() {
            if self.seen.insert(folder.to_owned()) {
                self.entry(folder, FOLDER, (0, 0), b"")?;
            }
        }
        Ok(())
    }

    /// A file with its folders.
    pub fn file(&mut self, path: &str, permissions: u32, content: &[u8]) -> Result<()> {
        if !self.seen.insert(path.into()) {
            return Ok(());
        }
        if let Some(folder) = Path::new(path).parent().and_then(Path::to_str) {
            self.folder(folder)?;
        }
        self.entry(Path::new(path), FILE | permissions, (0, 0), content)
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, to: &str) -> Result<()> {
        if self.seen.insert(path.into()) {
            self.entry(Path::new(path), LINK, (0, 0), to.as_bytes())
        } else {
            Ok(())
        }
    }

    /// A character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) -> Result<()> {
        self.entry(Path::new(path), CHARACTER_DEVICE, (major, minor), b"")
    }

    /// A file of this machine, under another name.
    pub fn copy(&mut self, from: &Path, to: &str) -> Result<()> {
        let content = fs::read(from).with_context(|| from.display().to_string())?;
        let permissions = fs::metadata(from)?.permissions().mode() & 0o755 | 0o444;
        self.file(to, permissions, &content)
    }

    /// A program or library of this machine, and the libraries that it loads where it looks for them; those below
    /// `own` are somebody else's business.
    pub fn program(&mut self, from: &Path, to: &str, own: &Path) -> Result<()> {
        self.copy(from, to)?;
        for library in libraries(from, own)? {
            let name = library.to_string_lossy().into_owned();
            self.copy(&library, &name)?;
        }
        Ok(())
    }

    /// The archive, with its end mark.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.entry(Path::new("TRAILER!!!"), 0, (0, 0), b"")?;
        Ok(self.bytes)
    }
}

/// The libraries of this machine that the dynamic loader maps for `file`, itself among them.
fn libraries(file: &Path, own: &Path) -> Result<Vec<PathBuf>> {
    let mut ldd = Command::new("ldd");
    let out = ldd.arg(file).env("LD_LIBRARY_PATH", own).stdin(Stdio::null()).output().context("ldd")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if !out.status.success() && !text.contains("not a dynamic") {
        let why = String::from_utf8_lossy(&out.stderr).trim().to_owned();
        // A static program has none, and ldd says so in this way.
        return if why.contains("not a dynamic") {
            Ok(Vec::new())
        } else {
            bail!("ldd {}: {why}", file.display())
        };
    }
    if let Some(line) = text.lines().find(|line| line.contains("not found")) {
        bail!("{} does not find {}", file.display(), line.trim());
    }
    Ok(mapped(&text).into_iter().filter(|path| !path.starts_with(own)).collect())
}

/// The paths in ldd's lines "name => path (address)" and "path (address)".
fn mapped(ldd: &str) -> Vec<PathBuf> {
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    ldd.lines().filter_map(|line| path(line.rsplit("=>").next()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_lists_what_was_put_in() {
        let mut archive = Archive::default();
        archive.file("/a/b", 0o755, b"text").unwrap();
        archive.file("/a/b", 0o755, b"again").unwrap();
        archive.link("/a/c", "b").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("070701").count(), 4, "a, a/b, a/c and the trailer");
        assert!(text.contains("a/b\0") && text.contains("text") && !text.contains("again"));
    }

    #[test]
    fn ldd_is_understood() {
        let text = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x2)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        let paths = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(mapped(text), paths.map(PathBuf::from));
    }
}
