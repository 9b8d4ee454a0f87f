//! The two kernels, and modules for them: Debian's own 7.3 as it is, and one with the kernel's checks on.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::cache::Cache;
use super::chroot::Chroot;
use super::steps::{Log, Step};

/// What the debug kernel is made with.
const DEBUG_CONFIG: &str = include_str!("debug.config");

/// A kernel to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Debian's.
    Stock,
    /// With KASAN, lockdep, kmemleak, fault injection; see debug.config.
    Debug,
}

/// Unpacks the source of the package linux-source-7.3.
const UNPACK: &str = "rm -rf /b/linux /b/part
mkdir -p /b/part
tar -C /b/part -xf /usr/src/linux-source-7.3.tar.xz
mv /b/part/linux-source-7.3 /b/linux
rmdir /b/part";

/// Fetches Debian's kernel of the same version as the source, its modules and its headers, and finds out which
/// module needs which. Nothing is installed: no boot loader and no initramfs has to hear of it.
const STOCK: &str = r#"rm -rf /b/stock /b/part
mkdir -p /b/part/debs /b/part/root
cd /b/part/debs
version=$(dpkg-query -W -f '${Version}' linux-source-7.3)
release=$(apt-cache pkgnames linux-binary-7.3. | sed -n 's/^linux-binary-\([0-9.]*+deb[0-9]*-amd64\)$/\1/p' | sort -V | tail -n 1)
test -n "$release" || { echo "there is no linux-binary-7.3.*-amd64 in backports any more"; exit 1; }
apt-get -o APT::Sandbox::User=root download \
    linux-binary-$release=$version linux-modules-$release=$version linux-headers-$release=$version
for deb in *.deb; do dpkg-deb -x $deb /b/part/root; done
rm -r /b/part/debs
depmod -b /b/part/root/usr -o /b/part/root/usr $release
echo $release > /b/part/release
mv /b/part /b/stock"#;

/// The headers package has no metadata of the kernel's Rust crates: makes it, with Debian's own configuration.
const METADATA: &str = r#"release=$(cat /b/stock/release)
headers=/b/stock/root/usr/src/linux-headers-$release
mkdir -p /b/stock/build
cp $headers/.config $headers/Module.symvers /b/stock/build
@MAKE@ olddefconfig
@MAKE@ -j$(nproc) modules_prepare
test "$(cat /b/stock/build/include/config/kernel.release)" = "$release"
test -s /b/stock/build/rust/libkernel.rmeta || { echo "the configuration lost CONFIG_RUST"; exit 1; }"#;

/// Configures and builds the debug kernel; an option that Kconfig drops is an error, not a check less.
const DEBUG: &str = r#"mkdir -p /b/debug/build
cd /b/debug
cat > wanted
@MAKE@ -s allnoconfig
/b/linux/scripts/kconfig/merge_config.sh -O build -m build/.config wanted > merge.log
@MAKE@ -s olddefconfig
lost=$(grep '^CONFIG_[A-Z0-9_]*=[^n]' wanted | grep -vxFf build/.config) || true
test -z "$lost" || { echo "Kconfig did not take:"; echo "$lost"; exit 1; }
@MAKE@ -j$(nproc) bzImage modules
cp build/include/config/kernel.release release"#;

impl Kernel {
    /// Its name in paths and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Debug => "debug",
        }
    }

    /// `make` for it, from the source into its build folder.
    pub(super) fn make(self) -> &'static str {
        match self {
            // What Debian builds with; LOCALVERSION is not in its .config. No BTF: that needs a vmlinux.
            Self::Stock => {
                "make -C /b/linux O=/b/stock/build CC=x86_64-linux-gnu-gcc-14 \
                 LOCALVERSION=+$(sed 's/[^+]*+//' /b/stock/release) CONFIG_DEBUG_INFO_BTF_MODULES="
            }
            Self::Debug => "make -C /b/linux O=/b/debug/build LLVM=1",
        }
    }

    /// The steps that make it.
    pub fn steps<'a>(self, chroot: &'a Chroot) -> Vec<Step<'a>> {
        let script = move |name, title: &str, script: String, lines| Step {
            name,
            title: title.into(),
            recipe: script.clone(),
            lines,
            make: Box::new(move |log: &Log| log.check(&mut chroot.command(&script, &[]))),
        };
        let unpack = script("source", "unpack the kernel's source", UNPACK.into(), 0);
        match self {
            Self::Stock => {
                let metadata = METADATA.replace("@MAKE@", self.make());
                vec![
                    unpack,
                    script("stock", "Debian's kernel, modules and headers", STOCK.into(), 0),
                    script("metadata", "Rust metadata of Debian's kernel", metadata, 228),
                ]
            }
            Self::Debug => {
                let build = DEBUG.replace("@MAKE@", self.make());
                let build = build.replace("> wanted", &format!("> wanted <<'END'\n{DEBUG_CONFIG}END"));
                vec![unpack, script("debug", "debug kernel (KASAN, lockdep, kmemleak)", build, 2230)]
            }
        }
    }

    /// The image, and its release.
    pub fn image(self, chroot: &Chroot) -> Result<(PathBuf, String)> {
        let file = chroot.path(&format!("b/{}/release", self.name()));
        let release = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let release = release.trim().to_owned();
        let image = match self {
            Self::Stock => format!("b/stock/root/usr/lib/modules/{release}/vmlinuz"),
            Self::Debug => "b/debug/build/arch/x86/boot/bzImage".into(),
        };
        Ok((chroot.path(&image), release))
    }
}

/// Builds a module, and collects what it needs beside it: `$1` its sources, `$2` where to build, `$3` what to
/// look modules up with. The files in load/ are in the order in which they go in.
const MODULE: &str = r#"mkdir -p $out
@MAKE@ -s -j$(nproc) M=$sources MO=$out modules
rm -rf $out/load
mkdir $out/load
n=10
for module in $(cat $out/modules.order); do
    module=$out/$(basename $module .o).ko
    for needed in $(modinfo -F depends $module | tr , ' ') $beside; do
        modprobe -d /b/stock/root/usr -S $(cat /b/stock/release) --show-depends $needed
    done | while read verb file rest; do
        name=$(basename $file .ko.xz).ko
        test "$verb" = insmod && ! ls $out/load/*-$name >/dev/null 2>&1 || continue
        xz -dc $file > $out/load/$n-$name
        n=$((n + 1))
    done
    n=50
    strip --strip-debug -o $out/load/$n-$(basename $module) $module
done"#;

/// Builds the module whose Kbuild file is in `folder` of the project `project`; answers the modules to insert, in
/// order. The compiler's words go to the user.
pub fn module(
    kernel: Kernel,
    chroot: &Chroot,
    cache: &Cache,
    project: &Path,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    if !["Kbuild", "Makefile"].iter().any(|name| folder.join(name).is_file()) {
        bail!("there is no module to build: {} has no Kbuild file", folder.display());
    }
    // Where the module is outside of the project, its folder is all it gets.
    let (root, below) = match folder.strip_prefix(project) {
        Ok(below) => (project, below),
        Err(_) => (folder, Path::new("")),
    };
    let mut hash = DefaultHasher::new();
    folder.hash(&mut hash);
    let out = format!("/b/modules/{}-{:016x}", kernel.name(), hash.finish());
    let sources = Path::new("/vinci").join(below);
    let make = kernel.make();
    // What the module's tests want to find; the debug kernel has it built in.
    let beside = if kernel == Kernel::Stock { "vgem aer_inject" } else { "" };
    let script = format!(
        "sources={}\nout={out}\nbeside='{beside}'\n{}",
        sources.display(),
        MODULE.replace("@MAKE@", make)
    );
    let mut command = chroot.command(&script, &[(root, "/vinci")]);
    let log = cache.log("module");
    let output = command.output().context("could not enter the chroot")?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    fs::write(&log, text.as_bytes()).with_context(|| log.display().to_string())?;
    eprint!("{text}");
    if !output.status.success() {
        bail!("building {} for the {} kernel: {}", folder.display(), kernel.name(), output.status);
    }
    let load = chroot.path(&format!("{out}/load"));
    let entries = fs::read_dir(&load).with_context(|| load.display().to_string())?;
    let mut modules = entries.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
    modules.sort();
    Ok(modules)
}
