#!/usr/bin/perl
# Processes, pipes, signals, regular expressions and modules of Perl.
use strict;
use warnings;
use List::Util qw(sum first);
use POSIX qw(:sys_wait_h floor);
use Socket;
use Time::HiRes qw(sleep);
use File::Temp qw(tempfile);
use Digest::SHA qw(sha1_hex);

$| = 1;
my %children;
for my $number (1 .. 5) {
    pipe(my $reader, my $writer) or die "pipe: $!";
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        close $reader;
        print $writer $number * $number;
        close $writer;
        exit $number;
    }
    close $writer;
    $children{$pid} = [$number, scalar <$reader>];
}
my @found;
while ((my $pid = wait()) > 0) {
    my ($number, $square) = @{$children{$pid}};
    push @found, "$number:$square:" . WEXITSTATUS($?);
}
print "children ", join(' ', sort @found), "\n";
my $output = `echo shell | { read line; echo \$line again; }`;
print "backticks $output";
my $alarms = 0;
local $SIG{ALRM} = sub { $alarms++ };
Time::HiRes::ualarm(10_000);
sleep 5;
print "alarms $alarms\n";
socketpair(my $one, my $two, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!";
syswrite $one, "over a socket";
sysread $two, my $text, 100;
print "$text\n";
my ($file, $name) = tempfile();
print $file "line $_\n" for 1 .. 1000;
close $file;
open(my $in, '<', $name) or die "open: $!";
my $total = sum map { /(\d+)/ ? $1 : 0 } <$in>;
print "lines $total ", sha1_hex(join ',', 1 .. 100), "\n";
unlink $name or die "unlink: $!";
my %words;
$words{length $1}++ while 'the quick brown fox jumps over the lazy dog' =~ /(\w+)/g;
print join(' ', map { "$_=$words{$_}" } sort keys %words), "\n";
die "ended on purpose\n" if floor(3.7) != 3;
exit 8;
