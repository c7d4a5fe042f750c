//! `/proc/cpuinfo`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use arch::cpu::cpuid;

use super::Text;

/// Which register of a leaf.
#[derive(Clone, Copy)]
enum Register {
    Ebx,
    Ecx,
    Edx,
}

/// Names of feature bits, from bit 0 on; those that Linux does not show are empty.
const FEATURES: [(u32, Register, &str); 4] = [
    (
        1,
        Register::Edx,
        "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts \
         acpi mmx fxsr sse sse2 ss ht tm ia64 pbe",
    ),
    (
        0x8000_0001,
        Register::Edx,
        "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - \
         lm 3dnowext 3dnow",
    ),
    (
        1,
        Register::Ecx,
        "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - \
         pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c \
         rdrand hypervisor",
    ),
    (
        7,
        Register::Ebx,
        "fsgsbase tsc_adjust - bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a \
         avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf \
         avx512er avx512cd sha_ni avx512bw avx512vl",
    ),
];

fn flags() -> String {
    let (basic, extended) = arch::cpu::cpuid_leaves();
    let mut text = String::new();
    for (leaf, register, names) in FEATURES {
        let known = if leaf >= 0x8000_0000 { extended } else { basic };
        if leaf > known {
            continue;
        }
        let result = cpuid(leaf, 0);
        let bits = match register {
            Register::Ebx => result.ebx,
            Register::Ecx => result.ecx,
            Register::Edx => result.edx,
        };
        for (bit, name) in names.split_whitespace().enumerate() {
            if bits >> bit & 1 == 1 && name != "-" {
                text += name;
                text.push(' ');
            }
        }
    }
    text
}

fn words(words: &[u32]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().into()
}

fn model_name() -> String {
    if arch::cpu::cpuid_leaves().1 < 0x8000_0004 {
        return "unknown".into();
    }
    let leaves = [2, 3, 4].map(|number| cpuid(0x8000_0000 + number, 0));
    let all: Vec<u32> =
        leaves.iter().flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]).collect();
    words(&all)
}

/// MHz, where the processor says it.
fn frequency() -> u32 {
    if arch::cpu::cpuid_leaves().0 < 0x16 { 0 } else { cpuid(0x16, 0).eax & 0xffff }
}

/// `/proc/cpuinfo` (`proc_cpuinfo(5)`).
pub fn cpu_information() -> Text {
    let first = cpuid(0, 0);
    let vendor = words(&[first.ebx, first.edx, first.ecx]);
    let signature = cpuid(1, 0);
    let (eax, ebx) = (signature.eax, signature.ebx);
    let base_family = eax >> 8 & 15;
    let family = if base_family == 15 { 15 + (eax >> 20 & 255) } else { base_family };
    let high = if base_family == 15 || base_family == 6 { eax >> 12 & 0xf0 } else { 0 };
    let model = eax >> 4 & 15 | high;
    let stepping = eax & 15;
    let (name, flags, mhz) = (model_name(), flags(), frequency());
    let line = (ebx >> 8 & 255) * 8;
    let leaves = arch::cpu::cpuid_leaves();
    let widths = if leaves.1 >= 0x8000_0008 { cpuid(0x8000_0008, 0).eax } else { 0x3024 };
    let (physical, linear) = (widths & 255, widths >> 8 & 255);
    let count = hal::vcpu_count();
    let mut text = String::new();
    for number in 0..count {
        text += &format!("processor\t: {number}\nvendor_id\t: {vendor}\n");
        text += &format!("cpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {name}\n");
        text += &format!("stepping\t: {stepping}\ncpu MHz\t\t: {mhz}.000\n");
        text += &format!("physical id\t: 0\nsiblings\t: {count}\ncore id\t\t: {number}\n");
        text += &format!("cpu cores\t: {count}\napicid\t\t: {number}\n");
        text += &format!("initial apicid\t: {number}\nfpu\t\t: yes\nfpu_exception\t: yes\n");
        text += &format!("cpuid level\t: {}\nwp\t\t: yes\nflags\t\t: {flags}\n", first.eax);
        text += &format!("clflush size\t: {line}\ncache_alignment\t: {line}\n");
        text += &format!("address sizes\t: {physical} bits physical, {linear} bits virtual\n");
        text += "power management:\n\n";
    }
    Ok(text.into_bytes())
}
