#!/bin/bash
# Pipelines, process substitution, traps, background jobs, here documents and coreutils.
set -eu
work=$(mktemp -d)
trap 'rm -r "$work"; echo cleaned' EXIT
cd "$work"
seq 1 2000 | shuf --random-source=<(yes) | sort -n | sha256sum | cut -c1-16
seq 1 300 | split -l 100 - part- && wc -l part-* | tail -1 | tr -s ' '
join <(printf '1 a\n2 b\n') <(printf '1 x\n2 y\n') | paste -sd, -
comm -12 <(seq 1 2 9) <(seq 1 3 9) | paste -sd' '
yes line | head -n 20000 | uniq -c | awk '{ print $1, $2 }'
tee copy < part-aa | tac | head -n1; cmp copy part-aa && echo same
mkdir -p a/b/c && touch a/b/c/file && find a -type f -exec basename {} \; && du -s --apparent-size a > /dev/null
ln -s a/b link && readlink -f link | sed "s|$work|.|" && stat -c '%F %a' link/c/file
date -u -d @86400 +%FT%T; factor 1234567890; echo drupe | base64 | base64 -d; printf 'ab' | od -An -tx1
for i in 1 2 3 4; do (sleep 0.0$i; echo "job $i") & done | sort
wait
coproc cat; echo through >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"
dd if=/dev/zero bs=4k count=256 2> /dev/null | md5sum | cut -c1-8
timeout 0.1 sleep 5 || echo "timeout $?"
(kill -TERM $BASHPID) || echo "killed $?"
cat <<END | tr a-z A-Z
here document
END
tar -cf - a | tar -tf - | grep -c / ; gzip -c copy | gunzip | cmp - copy && echo packed
exit 9
