/* Included by `palisade-cc -flto` before each unit: docs/pass.md, "Whole programs". */
#ifndef __ASSEMBLER__
extern const char __palisade_link_this_program_with_palisade_cc;
__attribute__((used, retain)) static const char *const __palisade_link_marker =
    &__palisade_link_this_program_with_palisade_cc;
#endif
