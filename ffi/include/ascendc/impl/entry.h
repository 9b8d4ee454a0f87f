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

} // namespace vinci

#endif
