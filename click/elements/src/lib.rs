//! The element classes of the Click router.
//!
//! Each element is one file: what it does, its ports and processing, arguments and
//! handlers, and its behaviour. [`CLASSES`] lists them all; the documentation is made from
//! it, and a build can choose from it.
//!
//! Names, arguments, handlers and behaviour follow the manual pages of Click's elements.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use click_runtime::Class;

pub mod documentation;

mod arp;
mod bucket;
mod common;
mod dump;
mod filter;
mod flow;
mod gap;
mod lines;
mod nat;
mod route;
mod wire;

/// Declares the modules of all elements and the table of their classes.
macro_rules! classes {
    ($($folder:ident { $($file:ident),* $(,)? })*) => {
        $(mod $folder { $(pub(crate) mod $file;)* })*

        /// All classes, by folder and file.
        pub static CLASSES: &[&Class] = &[$($(&$folder::$file::CLASS),*),*];
    };
}

classes! {
    standard {
        align, averagecounter, bandwidthratedsplitter, bandwidthratedunqueue, bandwidthshaper,
        block, blockthread, burster, bypass, checklength, checkpaint, classifier, clipboard, counter, delayshaper,
        delayunqueue, discard, drivermanager, dropbroadcasts, error, frontdropqueue,
        fullnotequeue, hub, idle, infinitesource, inputswitch, linkunqueue, message,
        mixedqueue, neighborhood, notifierdebug, notifierqueue, null, pad, paint, paintswitch,
        painttee, print, priosched, pullnull, pullswitch, pulltee, pushnull, queue,
        quicknotequeue, randomsample, randomseed, ratedsource, ratedsplitter, ratedunqueue,
        resize, roundrobinsched, roundrobinswitch, script, settimestamp, shaper, simplequeue,
        simplepullswitch, staticpullswitch, staticswitch, stridesched, strip, switch, tee,
        timedsink, timedsource, truncate, unqueue, unstrip,
    }
    analysis {
        adjusttimestamp, aggregatecounter, aggregateipflows, fromdump, fromipsummarydump, settimestampdelta, timefilter,
        timesortedsched, todump, toipsummarydump,
    }
    ethernet {
        arpprint, arpquerier, arpresponder, arptable, etherencap, ethervlanencap, hostetherfilter, markmacheader, setvlananno,
        stripethervlanheader, vlandecap, vlanencap,
    }
    ip {
        checkicmpheader, checkipheader, checkipheader2, checktcpheader, checkudpheader, decipttl,
        fixipsrc, getipaddress, icmperror, icmpipencap, icmppingencap, icmppingresponder, ipclassifier,
        ipencap, ipfilter, ipfragmenter, ipgwoptions, ipprint, ipreassembler, markipce, markipheader, setipaddress, setipchecksum, setipdscp, setrandipaddress,
        settcpchecksum, setudpchecksum, storeipaddress, stripipheader, striptonetworkheader,
        udpipencap, unstripipheader,
    }
    rewriter {
        ftpportmapper, icmppingrewriter, icmprewriter, ipaddrpairrewriter, ipaddrrewriter, iprewriter, iprewriterpatterns,
        roundrobinipmapper, tcprewriter, udprewriter,
    }
    lookup {
        directiplookup, lineariplookup, radixiplookup, rangeiplookup, sortediplookup,
        staticiplookup,
    }
    control { controlsocket }
    info {
        addressinfo, alignmentinfo, portinfo, scheduleinfo, staticthreadsched,
    }
}
