"""What the random programs are made of: the kernel's types and operations for the host's compiler, and the words to choose from."""

from __future__ import annotations

PRELUDE = r"""
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef signed char s8; typedef short s16; typedef int s32; typedef long long s64;
typedef _Bool bool; typedef int atomic_t; typedef long long atomic64_t; typedef unsigned int refcount_t;
enum { false, true };
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define min(a, b) ({ __auto_type a_ = (a); __auto_type b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b) ({ __auto_type a_ = (a); __auto_type b_ = (b); a_ > b_ ? a_ : b_; })
#define min_t(t, a, b) ({ t a_ = (a); t b_ = (b); a_ < b_ ? a_ : b_; })
#define max_t(t, a, b) ({ t a_ = (a); t b_ = (b); a_ > b_ ? a_ : b_; })
#define clamp(v, l, h) ({ __auto_type v_ = (v); __auto_type l_ = (l); __auto_type h_ = (h); v_ >= h_ ? h_ : v_ <= l_ ? l_ : v_; })
#define swap(a, b) do { typeof(a) t_ = (a); (a) = (b); (b) = t_; } while (0)
#define BIT(n) (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define GENMASK(h, l) ((~0UL << (l)) & (~0UL >> (63 - (h))))
#define GENMASK_ULL(h, l) ((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define xchg(p, v) ({ typeof(*(p)) o_ = *(p); *(p) = (v); o_; })
#define cmpxchg(p, o, n) ({ typeof(*(p)) e_ = (o), n_ = (n), c_ = *(p); if (c_ == e_) *(p) = n_; c_; })
#define try_cmpxchg(p, e, n) ({ typeof(*(p)) n_ = (n), c_ = *(p); bool r_ = c_ == *(e); if (r_) *(p) = n_; else *(e) = c_; r_; })
#define atomic_read(p) (*(p))
#define atomic_set(p, v) ((void)(*(p) = (v)))
#define atomic_inc(p) ((void)++*(p))
#define atomic_or(i, p) ((void)(*(p) |= (i)))
#define atomic_inc_return(p) (++*(p))
#define atomic_sub_return(i, p) (*(p) -= (i))
#define atomic_fetch_add(i, p) ({ int o_ = *(p); *(p) += (i); o_; })
#define atomic_dec_and_test(p) (--*(p) == 0)
#define atomic64_add_return(i, p) (*(p) += (i))
#define atomic64_fetch_sub(i, p) ({ long long o_ = *(p); *(p) -= (i); o_; })
static inline bool refcount_inc_not_zero(refcount_t *r)
{ int o = *r; if (!o) return false; *r = o < 0 || o == 0x7fffffff ? 0xc0000000 : o + 1; return true; }
static inline bool test_and_set_bit(long n, unsigned long *p) { bool o = *p >> n & 1; *p |= 1UL << n; return o; }
static inline bool test_and_clear_bit(long n, unsigned long *p) { bool o = *p >> n & 1; *p &= ~(1UL << n); return o; }
static inline bool __test_and_change_bit(long n, unsigned long *p) { bool o = *p >> n & 1; *p ^= 1UL << n; return o; }
static inline bool test_bit(long n, unsigned long *p) { return *p >> n & 1; }
static inline void __set_bit(long n, unsigned long *p) { *p |= 1UL << n; }
static inline void change_bit(long n, unsigned long *p) { *p ^= 1UL << n; }
static inline void clear_bit(long n, unsigned long *p) { *p &= ~(1UL << n); }
#define offsetof(t, m) __builtin_offsetof(t, m)
#define IS_ENABLED(x) 1
#define pr_debug(f, ...) ((void)(__VA_ARGS__))
#define fallthrough do { } while (0)
"""
TYPES = [
    "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "int", "unsigned", "long", "unsigned long", "char", "bool", "short",
    "long unsigned int", "unsigned char", "long long", "signed char", "unsigned short int", "int unsigned",
]  # fmt: skip
WIDE = ("u64", "s64", "long", "unsigned long", "long unsigned int", "long long")
CONSTANTS = [
    "0", "1", "2", "3", "7", "10", "127", "128", "200", "255", "256", "300", "32767", "65535", "65536", "2147483647", "2147483648",
    "0x7fffffff", "0x80000000", "0xffffffff", "4294967295", "4294967296", "0x7fffffffffffffff", "0x8000000000000000", "0xffffffffffffffff",
    "1u", "0u", "5U", "1l", "1ul", "3ull", "0xffu", "0x80000000u", "0xffffffffffffffffULL", "-1", "-2", "-128", "-129", "-32768", "'a'",
    "'\\n'", "'\\0'", "'\\x7f'", "010", "0b101", "true", "false", "(-2147483647 - 1)", "~0", "~0u", "~0ULL", "-1ll",
]  # fmt: skip
ENUMERATORS = ["BIT(4)", "1 << 2", "-3", "7", "(300)", "'x'", "~0", "0x7ffffffe", "sizeof(u64) * 2"]
BINARY = ["+", "-", "*", "&", "|", "^", "+", "-", "&"]
COMPARE = ["==", "!=", "<", "<=", ">", ">="]
