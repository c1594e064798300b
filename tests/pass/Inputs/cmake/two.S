/* Assembly, through the preprocessor. */
#define RESULT $2
    .text
    .globl two
two:
    movl RESULT, %eax
    ret
    .section .note.GNU-stack,"",@progbits
