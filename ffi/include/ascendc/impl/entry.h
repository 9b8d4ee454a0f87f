/* How the device calls a kernel: an entry that takes the address of the arguments, and a note about both. The compiler
 * driver appends both for each kernel of a file. */
#ifndef VINCI_ASCENDC_ENTRY_H
#define VINCI_ASCENDC_ENTRY_H

#include "core.h"

namespace vinci {

struct Parameter {
    uint32_t offset;
    uint32_t size;
};

template <typename... P> struct Layout {
    static constexpr uint32_t count = sizeof...(P);
    struct Table {
        Parameter at[sizeof...(P) + 1];
        uint32_t bytes;
    };
    static constexpr Table make()
    {
        Table t{};
        constexpr uint32_t sizes[] = {static_cast<uint32_t>(sizeof(P))..., 0};
        constexpr uint32_t aligns[] = {static_cast<uint32_t>(alignof(P))..., 1};
        uint32_t at = 0;
        for (uint32_t i = 0; i < count; ++i) {
            at = (at + aligns[i] - 1) / aligns[i] * aligns[i];
            t.at[i] = {at, sizes[i]};
            at += sizes[i];
        }
        t.bytes = (at + 7) / 8 * 8;
        return t;
    }
    static constexpr Table table = make();
};

template <unsigned... I> struct Indices {};
template <unsigned N, unsigned... I> struct Count : Count<N - 1, N - 1, I...> {};
template <unsigned... I> struct Count<0, I...> {
    using type = Indices<I...>;
};

template <typename F> struct Signature;
template <typename R, typename... P> struct Signature<R(P...)> {
    using layout = Layout<P...>;
    template <unsigned... I>
    static inline __attribute__((always_inline)) void apply(R (*kernel)(P...), const uint8_t *args, Indices<I...>)
    {
        kernel(*reinterpret_cast<const P *>(args + layout::table.at[I].offset)...);
    }
    static inline __attribute__((always_inline)) void call(R (*kernel)(P...), const uint8_t *args)
    {
        apply(kernel, args, typename Count<sizeof...(P)>::type());
    }
};

template <typename R, typename... P> struct Signature<R (*)(P...)> : Signature<R(P...)> {
};

/* Of an instance of a template, which only the launch can name: the compiler driver puts `entry_of` in its place. */
template <auto kernel>
__attribute__((device, used, visibility("hidden"))) constexpr auto kTable = Signature<decltype(kernel)>::layout::table;

template <auto kernel, uint32_t kind>
__attribute__((host, device, used, noinline, visibility("hidden"))) void template_entry(const unsigned char *args)
{
    using Of = Signature<decltype(kernel)>;
    __asm__ volatile(".pushsection .note.vinci,\"a\",@note\n.balign 4\n.long 6,2f-1f,2\n.asciz \"Vinci\"\n.balign 4\n"
                     "1:.long %c5-.\n.long %c0,%c1,%c2\n.long %c3-.\n.asciz \"%c4\"\n2:.balign 4\n.popsection"
                     :
                     : "i"(kind), "i"(Of::layout::count), "i"(Of::layout::table.bytes), "i"(&kTable<kernel>), "i"(kernel),
                     "i"(&template_entry<kernel, kind>));
    Of::call(kernel, args);
}

template <auto kernel, uint32_t kind> inline int entry_of()
{
    return &template_entry<kernel, kind> == nullptr;
}

} // namespace vinci

#endif
