/*
 * Entries of restartable hooks (R20): save the registers as they are at the call, then go on in C.
 *
 * A thread that waits inside such a hook can be restored from its context alone: the hook is
 * called again with the same arguments, and no frame of the runtime is part of an image. Only what
 * the ABI keeps across calls is saved, the arguments, and the two floating-point control words.
 * Offsets: struct context in image.h (first member of struct nf_thread).
 */
        .text

.macro RESTARTABLE entry, target, visibility
        .globl  \entry
        .\visibility \entry
        .type   \entry, @function
\entry:
.Lentry_\entry:
        endbr64
        movq    nf_self@gottpoff(%rip), %rax
        movq    %fs:(%rax), %rax
        testq   %rax, %rax
        je      1f
        movq    %rbx, 0(%rax)
        movq    %rbp, 8(%rax)
        movq    %r12, 16(%rax)
        movq    %r13, 24(%rax)
        movq    %r14, 32(%rax)
        movq    %r15, 40(%rax)
        movq    %rsp, 48(%rax)
        leaq    .Lentry_\entry(%rip), %r10
        movq    %r10, 56(%rax)
        movq    %rdi, 64(%rax)
        movq    %rsi, 72(%rax)
        movq    %rdx, 80(%rax)
        movq    %rcx, 88(%rax)
        movq    %r8, 96(%rax)
        movq    %r9, 104(%rax)
        stmxcsr 112(%rax)
        fnstcw  116(%rax)
1:      jmp     \target
        .size   \entry, . - \entry
.endm

#define HOOK(name, target) RESTARTABLE __palisade_##name, palisade_##target##_restartable, protected

        RESTARTABLE palisade_mutex_lock_entry, palisade_mutex_lock_restartable, hidden
        RESTARTABLE palisade_load1_entry, palisade_load1_restartable, hidden
        RESTARTABLE palisade_load2_entry, palisade_load2_restartable, hidden
        RESTARTABLE palisade_load4_entry, palisade_load4_restartable, hidden
        RESTARTABLE palisade_load8_entry, palisade_load8_restartable, hidden
        HOOK(pthread_mutex_trylock, mutex_trylock)
        HOOK(pthread_mutex_timedlock, mutex_timedlock)
        HOOK(pthread_cond_wait, cond_wait)
        HOOK(pthread_cond_timedwait, cond_timedwait)
        HOOK(pthread_join, join)
        HOOK(nanosleep, nanosleep)
        HOOK(clock_nanosleep, clock_nanosleep)
        HOOK(usleep, usleep)
        HOOK(sleep, sleep)
        HOOK(sched_yield, sched_yield)
        HOOK(poll, poll)
        HOOK(ppoll, ppoll)
        HOOK(recvfrom, recvfrom)
        HOOK(recv, recv)
        HOOK(recvmsg, recvmsg)
        HOOK(recvmmsg, recvmmsg)
        HOOK(sendto, sendto)
        HOOK(send, send)
        HOOK(sendmsg, sendmsg)
        HOOK(sendmmsg, sendmmsg)
        HOOK(read, read)
        HOOK(readv, readv)
        HOOK(write, write)
        HOOK(writev, writev)
        RESTARTABLE palisade_pcap_fetch_entry, palisade_pcap_fetch_restartable, hidden
        HOOK(pcap_inject, pcap_inject)
        RESTARTABLE palisade_xsk_fetch_entry, palisade_xsk_fetch_restartable, hidden
        RESTARTABLE palisade_xsk_flush_entry, palisade_xsk_flush_restartable, hidden
        HOOK(pcap_sendpacket, pcap_sendpacket)

/* void context_resume(const struct context *): becomes the saved thread. Never returns. */
        .globl  context_resume
        .hidden context_resume
        .type   context_resume, @function
context_resume:
        movq    %rdi, %rax
        ldmxcsr 112(%rax)
        fldcw   116(%rax)
        movq    0(%rax), %rbx
        movq    8(%rax), %rbp
        movq    16(%rax), %r12
        movq    24(%rax), %r13
        movq    32(%rax), %r14
        movq    40(%rax), %r15
        movq    48(%rax), %rsp
        movq    64(%rax), %rdi
        movq    72(%rax), %rsi
        movq    80(%rax), %rdx
        movq    88(%rax), %rcx
        movq    96(%rax), %r8
        movq    104(%rax), %r9
        jmp     *56(%rax)
        .size   context_resume, . - context_resume

/*
 * void stack_enter(void *top, void (*function)(void *), void *argument): calls function(argument)
 * on another stack; function never returns.
 */
        .globl  stack_enter
        .hidden stack_enter
        .type   stack_enter, @function
stack_enter:
        movq    %rdi, %rsp
        xorl    %ebp, %ebp
        movq    %rdx, %rdi
        callq   *%rsi
        ud2
        .size   stack_enter, . - stack_enter

        .section .note.GNU-stack,"",@progbits
