//! The folder that keeps what was made: stamps say which steps are done, one lock keeps two commands apart.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// `$VINCI_CACHE/vm`, or `vinci/vm` where this user's caches are.
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens the folder, which is made if it is not there.
    pub fn open() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let base = set("VINCI_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|c| c.join("vinci")))
            .or_else(|| set("HOME").map(|h| h.join(".cache/vinci")));
        let Some(base) = base else { bail!("no place for the cache: set VINCI_CACHE to a folder") };
        let root = std::path::absolute(base.join("vm"))?;
        for folder in ["stamps", "log"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        }
        Ok(Self { root })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Debian system that compiles modules and holds QEMU.
    pub fn chroot(&self) -> PathBuf {
        self.root.join("chroot")
    }

    /// A file below `log`.
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("log").join(format!("{name}.log"))
    }

    /// Waits until no other command makes what `name` stands for, and keeps others out until the answer is dropped.
    pub fn lock(&self, name: &str) -> Result<File> {
        let path = self.root.join(name);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("waiting for another `cargo xtask vm` to release {}", path.display());
                file.lock()?;
            }
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| path.display().to_string()),
        }
        Ok(file)
    }

    fn stamp(&self, step: &str) -> PathBuf {
        self.root.join("stamps").join(step)
    }

    /// Whether `step` was done, by this very recipe.
    pub fn done(&self, step: &str, recipe: &str) -> bool {
        fs::read_to_string(self.stamp(step)).is_ok_and(|text| text == recipe)
    }

    /// Notes, in one move, that `step` is done.
    pub fn set_done(&self, step: &str, recipe: &str) -> Result<()> {
        let (stamp, new) = (self.stamp(step), self.stamp(&format!(".{step}")));
        fs::write(&new, recipe).with_context(|| new.display().to_string())?;
        fs::rename(&new, &stamp).with_context(|| stamp.display().to_string())
    }

    /// Forgets that `step` is done: it is about to be done again.
    pub fn clear(&self, step: &str) -> Result<()> {
        match fs::remove_file(self.stamp(step)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).with_context(|| self.stamp(step).display().to_string())
            }
            _ => Ok(()),
        }
    }
}

/// A fresh folder for one run of the VM, which goes away with its owner. Not in the cache: a socket's path must be
/// short.
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes it.
    pub fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("vinci-vm-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_done_by_its_recipe_only() {
        let root = std::env::temp_dir().join(format!("vinci-cache-{}", std::process::id()));
        fs::create_dir_all(root.join("stamps")).unwrap();
        let cache = Cache { root: root.clone() };
        assert!(!cache.done("base", "a"));
        cache.set_done("base", "a").unwrap();
        assert!(cache.done("base", "a") && !cache.done("base", "b"));
        cache.clear("base").unwrap();
        cache.clear("base").unwrap();
        assert!(!cache.done("base", "a"));
        fs::remove_dir_all(root).unwrap();
    }
}
