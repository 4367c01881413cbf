//! What kind of medium a folder is on, as far as the system says.

use std::path::Path;

use serde::Serialize;

/// What kind of medium it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskMediumKind {
    /// Memory: nothing survives a power cut.
    Memory,
    /// Plates that turn.
    Rotating,
    /// A memory card, or flash that is soldered in (SD, eMMC).
    Card,
    /// A solid-state disk, or a virtual one that says it is.
    Solid,
    /// Another machine's.
    Network,
    /// The system does not say.
    #[default]
    Unknown,
}

/// A folder's medium.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskMedium {
    /// What kind.
    pub kind: DiskMediumKind,
    /// The file system's name; empty where it is none that is known here.
    pub file_system: String,
    /// The device's name; empty where the system does not say.
    pub device: String,
}

/// File systems by the number that the system gives for them, and where that says what the medium is, this.
#[cfg(target_os = "linux")]
const FILE_SYSTEMS: &[(u64, &str, Option<DiskMediumKind>)] = &[
    (0xEF53, "ext4", None),
    (0x5846_5342, "xfs", None),
    (0x9123_683E, "btrfs", None),
    (0xF2F5_2010, "f2fs", None),
    (0x4D44, "vfat", None),
    (0x2011_BAB0, "exfat", None),
    (0x7366_746E, "ntfs3", None),
    (0x2FC1_2FC1, "zfs", None),
    (0x794C_7630, "overlayfs", None),
    (0x6573_5546, "fuse", None),
    (0x0102_1994, "tmpfs", Some(DiskMediumKind::Memory)),
    (0x8584_58F6, "ramfs", Some(DiskMediumKind::Memory)),
    (0x6969, "nfs", Some(DiskMediumKind::Network)),
    (0xFF53_4D42, "cifs", Some(DiskMediumKind::Network)),
    (0xFE53_4D42, "smb2", Some(DiskMediumKind::Network)),
    (0x0102_1997, "9p", Some(DiskMediumKind::Network)),
];

/// The medium of a folder. What cannot be told is left open.
#[cfg(target_os = "linux")]
pub(super) fn medium_of(directory: &Path) -> DiskMedium {
    use std::os::linux::fs::MetadataExt;
    let mut medium = DiskMedium::default();
    if let Ok(system) = rustix::fs::statfs(directory) {
        // As 32 bits: where the type is signed and short, a number with its highest bit set is negative.
        #[allow(clippy::useless_conversion, reason = "the field's type is another one on other machines")]
        let number = u64::try_from(i64::from(system.f_type) & 0xFFFF_FFFF).unwrap_or(0);
        if let Some((_, name, kind)) = FILE_SYSTEMS.iter().find(|(known, _, _)| *known == number) {
            (*name).clone_into(&mut medium.file_system);
            medium.kind = kind.unwrap_or_default();
        }
    }
    let Ok(metadata) = std::fs::metadata(directory) else { return medium };
    let device = metadata.st_dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let link = format!("/sys/dev/block/{major}:{minor}");
    let Ok(target) = std::fs::read_link(&link) else { return medium };
    medium.device = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if medium.kind == DiskMediumKind::Unknown {
        // A partition has no queue of its own; its disk does.
        let rotational = ["queue/rotational", "../queue/rotational"];
        let said = rotational.iter().find_map(|path| std::fs::read_to_string(Path::new(&link).join(path)).ok());
        medium.kind = kind_of(&medium.device, said.as_deref().map(str::trim));
    }
    medium
}

#[cfg(not(target_os = "linux"))]
pub(super) fn medium_of(_directory: &Path) -> DiskMedium {
    DiskMedium::default()
}

/// What a block device is, by its name and by what its queue says of rotation.
#[cfg(target_os = "linux")]
fn kind_of(device: &str, rotational: Option<&str>) -> DiskMediumKind {
    match rotational {
        _ if device.starts_with("mmcblk") => DiskMediumKind::Card,
        // A virtual disk says that it turns unless it is told not to: what it says is worth nothing.
        Some("1") if device.starts_with("vd") || device.starts_with("xvd") => DiskMediumKind::Unknown,
        Some("1") => DiskMediumKind::Rotating,
        Some("0") => DiskMediumKind::Solid,
        _ => DiskMediumKind::Unknown,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_by_its_name_and_its_queue() {
        let cases = [
            ("mmcblk0p2", Some("0"), DiskMediumKind::Card),
            ("mmcblk0p2", None, DiskMediumKind::Card),
            ("sda1", Some("1"), DiskMediumKind::Rotating),
            ("nvme0n1p1", Some("0"), DiskMediumKind::Solid),
            ("vda", Some("1"), DiskMediumKind::Unknown),
            ("vda", Some("0"), DiskMediumKind::Solid),
            ("dm-0", None, DiskMediumKind::Unknown),
        ];
        for (device, rotational, kind) in cases {
            assert_eq!(kind_of(device, rotational), kind, "{device}");
        }
    }

    #[test]
    fn memory_is_known_as_memory() {
        // Where the system has it at this place.
        let medium = medium_of(Path::new("/dev/shm"));
        if medium.file_system == "tmpfs" {
            assert_eq!(medium.kind, DiskMediumKind::Memory);
        }
        assert_eq!(medium_of(Path::new("/no/such/folder")), DiskMedium::default());
    }
}
