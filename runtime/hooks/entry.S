/*
 * Entries of restartable hooks (R20): save the registers as they are at the call, then go on in C.
 *
 * A thread that waits inside such a hook can be restored from its context alone: the hook is
 * called again with the same arguments, and no frame of the runtime is part of an image. Only what
 * the ABI keeps across calls is saved, the arguments, and the two floating-point control words.
 * Offsets: struct context in image.h (first member of struct nf_thread).
 *
 * The return address is also the place in the NF where the hook's events happen: hooks/site.h. Not
 * when a hook of ours calls, which has said it already.
 */
        .text

.macro RESTARTABLE entry, target, visibility, from_nf=1
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
        .if \from_nf
        movl    (%rsp), %r10d
        movl    %r10d, 132(%rax)
        .endif
1:      jmp     \target
        .size   \entry, . - \entry
.endm

#define HOOK(name, target) RESTARTABLE __palisade_##name, palisade_##target##_restartable, protected

        RESTARTABLE palisade_mutex_lock_entry, palisade_mutex_lock_restartable, hidden
        RESTARTABLE palisade_rwlock_rdlock_entry, palisade_rwlock_rdlock_restartable, hidden
        RESTARTABLE palisade_rwlock_wrlock_entry, palisade_rwlock_wrlock_restartable, hidden
        RESTARTABLE palisade_word_lock_entry, palisade_word_lock_restartable, hidden
        HOOK(kill, kill)
        HOOK(pause, pause)
        HOOK(pthread_kill, pthread_kill)
        HOOK(pthread_sigmask, pthread_sigmask)
        HOOK(raise, raise)
        HOOK(sigprocmask, sigprocmask)
        HOOK(sigsuspend, sigsuspend)
        HOOK(sigtimedwait, sigtimedwait)
        HOOK(sigwait, sigwait)
        HOOK(sigwaitinfo, sigwaitinfo)
        HOOK(getaddrinfo, getaddrinfo)
        HOOK(gethostbyaddr, gethostbyaddr)
        HOOK(gethostbyname, gethostbyname)
        HOOK(gethostbyname2, gethostbyname2)
        HOOK(getnameinfo, getnameinfo)
        .irp bytes, 1, 2, 4, 8
        RESTARTABLE palisade_load\bytes\()_entry, palisade_load\bytes\()_restartable, hidden
        RESTARTABLE palisade_store\bytes\()_entry, palisade_store\bytes\()_restartable, hidden
        RESTARTABLE __palisade_mixed\bytes, palisade_mixed\bytes\()_restartable, protected
        .endr
        .irp bytes, 1, 2, 4, 8, 16
        RESTARTABLE palisade_rmw\bytes\()_entry, palisade_rmw\bytes\()_restartable, hidden
        RESTARTABLE palisade_cas\bytes\()_entry, palisade_cas\bytes\()_restartable, hidden
        .endr
        HOOK(load16, load16)
        HOOK(store16, store16)
        HOOK(rdtsc, rdtsc)
        HOOK(pthread_mutex_trylock, mutex_trylock)
        HOOK(pthread_mutex_timedlock, mutex_timedlock)
        HOOK(pthread_mutex_clocklock, mutex_clocklock)
        HOOK(mtx_trylock, mtx_trylock)
        HOOK(mtx_timedlock, mtx_timedlock)
        HOOK(pthread_rwlock_tryrdlock, rwlock_tryrdlock)
        HOOK(pthread_rwlock_trywrlock, rwlock_trywrlock)
        HOOK(pthread_rwlock_timedrdlock, rwlock_timedrdlock)
        HOOK(pthread_rwlock_timedwrlock, rwlock_timedwrlock)
        HOOK(pthread_rwlock_clockrdlock, rwlock_clockrdlock)
        HOOK(pthread_rwlock_clockwrlock, rwlock_clockwrlock)
        HOOK(word_trylock, word_trylock)
        HOOK(word_take, word_take)
        HOOK(word_rdlock, word_rdlock)
        HOOK(word_tryrdlock, word_tryrdlock)
        HOOK(word_trywrlock, word_trywrlock)
        HOOK(word_is_locked, word_is_locked)
        HOOK(word_recursive_lock, word_recursive_lock)
        HOOK(word_recursive_take, word_recursive_take)
        HOOK(opaque_lock, opaque_lock)
        HOOK(sem_wait, sem_wait)
        HOOK(sem_trywait, sem_trywait)
        HOOK(sem_timedwait, sem_timedwait)
        HOOK(sem_clockwait, sem_clockwait)
        HOOK(sem_getvalue, sem_getvalue)
        HOOK(pthread_barrier_wait, barrier_wait)
        HOOK(pthread_barrier_destroy, barrier_destroy)
        HOOK(pthread_once, once)
        HOOK(pthread_cond_wait, cond_wait)
        HOOK(pthread_cond_timedwait, cond_timedwait)
        HOOK(pthread_cond_clockwait, cond_clockwait)
        HOOK(cnd_timedwait, cnd_timedwait)
        HOOK(pthread_join, join)
        HOOK(thrd_join, thrd_join)
        HOOK(nanosleep, nanosleep)
        HOOK(clock_nanosleep, clock_nanosleep)
        HOOK(usleep, usleep)
        HOOK(sleep, sleep)
        HOOK(sched_yield, sched_yield)
        HOOK(poll, poll)
        HOOK(ppoll, ppoll)
        HOOK(select, select)
        HOOK(pselect, pselect)
        HOOK(epoll_wait, epoll_wait)
        HOOK(epoll_pwait, epoll_pwait)
        HOOK(epoll_pwait2, epoll_pwait2)
        HOOK(read, read)
        HOOK(readv, readv)
        HOOK(write, write)
        HOOK(writev, writev)
        HOOK(connect, connect)
        HOOK(accept, accept)
        HOOK(accept4, accept4)
        HOOK(flock, flock)
        HOOK(eventfd_read, eventfd_read)
        HOOK(eventfd_write, eventfd_write)
        HOOK(fread, fread)
        HOOK(fgets, fgets)
        HOOK(fgetc, fgetc)
        HOOK(getchar, getchar)
        HOOK(getdelim, getdelim)
        HOOK(getline, getline)
        HOOK(fscanf, fscanf)
        HOOK(scanf, scanf)
        HOOK(vfscanf, vfscanf)
        HOOK(recvfrom, recvfrom)
        HOOK(recv, recv)
        HOOK(recvmsg, recvmsg)
        HOOK(recvmmsg, recvmmsg)
        HOOK(sendto, sendto)
        HOOK(send, send)
        HOOK(sendmsg, sendmsg)
        HOOK(sendmmsg, sendmmsg)
        RESTARTABLE palisade_pcap_fetch_entry, palisade_pcap_fetch_restartable, hidden, 0
        HOOK(pcap_inject, pcap_inject)
        RESTARTABLE palisade_xsk_fetch_entry, palisade_xsk_fetch_restartable, hidden, 0
        RESTARTABLE palisade_xsk_flush_entry, palisade_xsk_flush_restartable, hidden, 0
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
 * void context_return(const struct context *, int64_t result): leaves the saved hook, as its own
 * return would. Never returns.
 */
        .globl  context_return
        .hidden context_return
        .type   context_return, @function
context_return:
        movq    %rsi, %rax
        ldmxcsr 112(%rdi)
        fldcw   116(%rdi)
        movq    0(%rdi), %rbx
        movq    8(%rdi), %rbp
        movq    16(%rdi), %r12
        movq    24(%rdi), %r13
        movq    32(%rdi), %r14
        movq    40(%rdi), %r15
        movq    48(%rdi), %rsp
        ret
        .size   context_return, . - context_return

/*
 * void signal_enter(from, frame, bytes, handler, signal, info): copies a frame to its place in the
 * NF's stack, where the runtime's own frames lie until then, runs handler(signal, info, NULL) right
 * below it, and leaves by palisade_signal_leave(frame).
 */
        .globl  signal_enter
        .hidden signal_enter
        .type   signal_enter, @function
signal_enter:
        movq    %rsi, %rsp
        movq    %rcx, %rax
        movq    %rdx, %rcx
        xchgq   %rdi, %rsi
        cld
        rep movsb
        movl    %r8d, %edi
        movq    %r9, %rsi
        xorl    %edx, %edx
        callq   *%rax
        movq    %rsp, %rdi
        callq   palisade_signal_leave
        ud2
        .size   signal_enter, . - signal_enter

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
