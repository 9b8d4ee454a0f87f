//! The kernel's own checks of the module, on its sources and without booting: style, lints, the interface's header,
//! what modinfo says, and whether DKMS can build it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::chroot::Chroot;
use super::kernel::Kernel;
use super::qemu::Did;

/// `$sources` is driver/kernel, `$module` the module, `$scratch` an empty folder.
const CHECKS: &[(&str, &str)] = &[
    ("checkpatch", CHECKPATCH),
    ("rustfmt", "rustfmt --check --config-path /b/linux/.rustfmt.toml $sources/*.rs"),
    ("clippy", CLIPPY),
    ("sparse", SPARSE),
    ("header", HEADER),
    ("modinfo", MODINFO),
    ("dkms", DKMS),
];

/// Where the files would be in the kernel's tree: some of its rules depend on that.
const CHECKPATCH: &str = r#"mkdir -p $scratch/include/uapi/drm $scratch/drivers/accel/vinci
cp $sources/* $scratch/drivers/accel/vinci
cp $sources/../uapi/include/drm/vinci_accel.h $scratch/include/uapi/drm
cd $scratch
perl /b/linux/scripts/checkpatch.pl --root=/b/linux --no-tree --strict --show-types --quiet -f \
    drivers/accel/vinci/*.c drivers/accel/vinci/*.h drivers/accel/vinci/*.rs \
    drivers/accel/vinci/Kbuild drivers/accel/vinci/Kconfig include/uapi/drm/vinci_accel.h"#;

const CLIPPY: &str = r#"@MAKE@ -s CLIPPY=1 M=$sources MO=$scratch modules 2>&1 | tee $scratch/said
if grep -q -e '^warning' -e '^error' $scratch/said; then exit 1; fi
test -f $scratch/vinci.ko"#;

const SPARSE: &str = r#"@MAKE@ -s C=1 M=$sources MO=$scratch modules > $scratch/said 2>&1
if grep 'sparse is not available or not up to date' $scratch/said; then
    sparse --version
    echo "Debian's sparse is too old for this kernel: the C files were not checked with it"
    exit 77
fi
if grep -e ': warning: ' -e ': error: ' $scratch/said; then exit 1; fi"#;

/// As usr/include/Makefile of the kernel does it.
const HEADER: &str = r#"@MAKE@ -s scripts_unifdef
mkdir $scratch/drm
cd /b/stock/build
drm=/b/linux/include/uapi/drm
for header in $drm/drm.h $drm/drm_mode.h $sources/../uapi/include/drm/vinci_accel.h; do
    sh /b/linux/scripts/headers_install.sh $header $scratch/drm/$(basename $header)
done
h=$scratch/drm/vinci_accel.h
gcc -x c -std=c90 -Wall -Werror -fsyntax-only -include $h -include $h /dev/null
clang -x c++ -std=c++98 -Wall -Werror -fsyntax-only -include $h -include $h /dev/null
perl /b/linux/usr/include/headers_check.pl $scratch $h"#;

const MODINFO: &str = r#"modinfo $module
has() { test "$(modinfo -F $1 $module)" = "$2" || { echo "$1 is not $2"; exit 1; }; }
has license GPL
has depends drm
has import_ns DMA_BUF
has alias 'pci:v00001234d0000910Csv*sd*bc*sc*i*'
test -n "$(modinfo -F description $module)"
test -n "$(modinfo -F author $module)"
# Each parameter has a description and a type.
modinfo -F parm $module | grep -q '^hang_timeout_ms:Milliseconds .*(u32)$'
modinfo -F vermagic $module | grep -q "^$(cat /b/stock/release) ""#;

/// What DKMS does with dkms.conf, without its copies below /usr/src and /var.
const DKMS: &str = r#"mkdir -p $scratch/vinci/0.1.0/build/driver
for folder in core hw kernel uapi; do cp -r $sources/../$folder $scratch/vinci/0.1.0/build/driver; done
bash -ec 'dkms_tree=$0 kernel_source_dir=/b/stock/build; . $1/dkms.conf
eval "${MAKE[0]} CC=x86_64-linux-gnu-gcc-14 CONFIG_DEBUG_INFO_BTF_MODULES="
test -f $0/$PACKAGE_NAME/$PACKAGE_VERSION/build/${BUILT_MODULE_LOCATION[0]}/${BUILT_MODULE_NAME[0]}.ko
eval "$CLEAN"' $scratch $sources > $scratch/said 2>&1 || { cat $scratch/said; exit 1; }"#;

/// Runs them all for the module `module`, whose sources are in driver/kernel of `project`; what each said is appended
/// to `output`.
pub fn run(
    chroot: &Chroot,
    project: &Path,
    module: &Path,
    output: &mut String,
    mut tell: impl FnMut(&Did),
) -> Result<Vec<Did>> {
    let inside = Path::new("/").join(module.strip_prefix(chroot.path("")).context("the module's path")?);
    let start = Instant::now();
    let mut all = Vec::new();
    for (name, script) in CHECKS {
        let name = format!("check/{name}");
        let began = start.elapsed().as_secs_f64();
        let setting = format!(
            "sources=/vinci/driver/kernel module={}\nscratch=$(mktemp -d)\ntrap 'rm -rf $scratch' EXIT\n",
            inside.display()
        );
        let script = script.replace("@MAKE@", Kernel::Stock.make());
        let out = chroot
            .command(&format!("{setting}{script}"), &[(project, "/vinci")])
            .output()
            .context("could not enter the chroot")?;
        let text = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
        output.push_str(&format!("=== {name}\n{text}\n"));
        let did = Did { name, status: out.status.code(), began, ended: start.elapsed().as_secs_f64() };
        tell(&did);
        all.push(did);
    }
    Ok(all)
}
