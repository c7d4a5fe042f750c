//! Files of the host that must not get into an image by themselves.

use std::path::Path;

/// Folders that hold what is private to a host or a person.
const FOLDERS: &[&str] = &[
    "/root",
    "/home",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/sudoers.d",
    "/etc/wireguard",
    "/etc/NetworkManager/system-connections",
    "/etc/letsencrypt",
    "/var/lib/private",
    "/proc",
    "/sys",
    "/dev",
];

/// Files likewise.
const FILES: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/krb5.keytab",
    "/etc/machine-id",
    "/etc/passwd-",
    "/etc/group-",
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
];

/// Names of private keys and password files, wherever they are.
const NAMES: &[&str] = &[
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    ".netrc",
    ".pgpass",
    ".git-credentials",
    ".env",
    "credentials",
];

/// Whether `path` holds a secret of the host by its place or its name.
///
/// Names are judged only outside `/usr`: what is there was published with a package.
pub fn is_secret(path: &Path) -> bool {
    if FOLDERS.iter().any(|folder| path.starts_with(folder) && path != Path::new(folder)) {
        return true;
    }
    is_secret_name(path)
}

/// Whether `path` is a well-known secret, or has the name of one.
pub fn is_secret_name(path: &Path) -> bool {
    if FILES.iter().any(|file| path == Path::new(file)) {
        return true;
    }
    if path.starts_with("/usr") {
        return false;
    }
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    NAMES.contains(&name)
        || name.ends_with(".key")
        || (name.starts_with("ssh_host_") && !name.ends_with(".pub"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_and_other_files_are_not() {
        for path in ["/etc/shadow", "/etc/ssh/ssh_host_rsa_key", "/root/.bashrc", "/srv/tls/a.key"]
        {
            assert!(is_secret(Path::new(path)), "{path}");
        }
        for path in ["/etc/passwd", "/usr/lib/python3.11/test/ssl.key", "/srv/app/main.py", "/root"]
        {
            assert!(!is_secret(Path::new(path)), "{path}");
        }
    }
}
