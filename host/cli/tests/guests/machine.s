# A guest for QEMU: writes to the serial port and to the debug console, then echoes the payload
# of one input frame of one byte, and ends with status 5.
    .section .note.Xen, "a", @note
    .long 4, 4, 18
    .asciz "Xen"
    .long start

    .text
    .code32
    .globl start
start:
    mov $text, %esi
    mov $(frames - text), %ecx
    mov $0x3f8, %dx
    rep outsb
    mov $frames, %esi
    mov $(last - frames), %ecx
    mov $0xe9, %dx
    rep outsb
    # Eight bytes of head, one of payload.
    mov $9, %ecx
next:
    mov $0x3fd, %dx
wait:
    in %dx, %al
    test $1, %al
    jz wait
    mov $0x3f8, %dx
    in %dx, %al
    loop next
    out %al, %dx
    mov $last, %esi
    mov $(end - last), %ecx
    mov $0xe9, %dx
    rep outsb
    mov $0xf4, %dx
    out %al, %dx
    hlt

    .data
text:
    .ascii "serial\n"
frames:
    .byte 8, 0, 0, 0, 7, 0, 0, 0
    .ascii "framed\n"
    # It listens, and has room for one byte of input.
    .byte 10, 0, 0, 0, 0, 0, 0, 0
    .byte 11, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0
last:
    .byte 2, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0
end:
