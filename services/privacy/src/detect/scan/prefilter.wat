;; The prefilter: reads a tile of text once and lists the offsets at which personal data could be.
;;
;;   memory                                                              bytes
;;   0x00000  64 bytes before the tile                                      64
;;   0x00040  the tile, then 64 bytes after it, then zeros               32960
;;   0x09000  one bit a byte: digits                                      4352
;;   0x0A100  one bit a byte: separators, space ( ) - . /                 4352
;;   0x0B200  one bit a byte: ASCII letters                               4352
;;   0x0C300  one bit a byte: colons                                      4352
;;   0x0D400  one bit a byte: @ and +                                     4352
;;   0x0E600  one byte for 64: whether one of them could begin anything     514
;;   0x10000  offsets in the tile, u32 each, in order                   131072
;;
;; Pass 1 looks whether any of 64 bytes is a digit, a colon, @ or +, as most of prose is not: a third of the work.
;; Pass 2 goes where one is, sorts 16 bytes at a time into classes, and looks at 64 bits at a time for neighbours,
;; with the word before and the word after at hand. A pattern asks only for what is there, never for what is absent:
;; what lies around a message can add candidates to it and never hide one. But for two, the start of a long digit run
;; and what stands before two letters and two digits: the visitor looks at both itself where a message begins.
(module
  (memory (export "memory") 3)

  ;; Tells of each 64 bytes in [0, end) whether one of them is a digit, a colon, @ or +.
  (func $mark (param $end i32)
    (local $p i32) (local $v v128) (local $zero v128) (local $eleven v128) (local $at v128) (local $plus v128)
    ;; In locals, since a constant is made anew each time that it is named.
    (local.set $zero (i8x16.splat (i32.const 176)))
    (local.set $eleven (i8x16.splat (i32.const -117)))
    (local.set $at (i8x16.splat (i32.const 64)))
    (local.set $plus (i8x16.splat (i32.const 43)))
    (loop $next
      (i32.store8 offset=0xE600 (i32.shr_u (local.get $p) (i32.const 6))
        (v128.any_true (v128.or
          (v128.or
            (v128.or
              (i8x16.lt_s
                (i8x16.sub (local.tee $v (v128.load (local.get $p))) (local.get $zero))
                (local.get $eleven))
              (v128.or (i8x16.eq (local.get $v) (local.get $at)) (i8x16.eq (local.get $v) (local.get $plus))))
            (v128.or
              (i8x16.lt_s
                (i8x16.sub (local.tee $v (v128.load offset=16 (local.get $p))) (local.get $zero))
                (local.get $eleven))
              (v128.or (i8x16.eq (local.get $v) (local.get $at)) (i8x16.eq (local.get $v) (local.get $plus)))))
          (v128.or
            (v128.or
              (i8x16.lt_s
                (i8x16.sub (local.tee $v (v128.load offset=32 (local.get $p))) (local.get $zero))
                (local.get $eleven))
              (v128.or (i8x16.eq (local.get $v) (local.get $at)) (i8x16.eq (local.get $v) (local.get $plus))))
            (v128.or
              (i8x16.lt_s
                (i8x16.sub (local.tee $v (v128.load offset=48 (local.get $p))) (local.get $zero))
                (local.get $eleven))
              (v128.or (i8x16.eq (local.get $v) (local.get $at)) (i8x16.eq (local.get $v) (local.get $plus))))))))
      (local.set $p (i32.add (local.get $p) (i32.const 64)))
      (br_if $next (i32.lt_u (local.get $p) (local.get $end)))))

  ;; Sorts the bytes of [p, end), both multiples of 64, into classes.
  (func $classify (param $p i32) (param $end i32)
    (local $v v128) (local $word i32)
    (loop $next
      (local.set $v (v128.load (local.get $p)))
      (local.set $word (i32.shr_u (local.get $p) (i32.const 3)))
      ;; A range of 10 from '0' is moved to the lowest signed bytes, so that one signed compare decides it.
      (i32.store16 offset=0x9000 (local.get $word) (i8x16.bitmask
        (i8x16.lt_s (i8x16.sub (local.get $v) (i8x16.splat (i32.const 176))) (i8x16.splat (i32.const -118)))))
      ;; '-' '.' '/' are 45 to 47, '(' ')' 40 and 41.
      (i32.store16 offset=0xA100 (local.get $word) (i8x16.bitmask
        (v128.or
          (i8x16.lt_s (i8x16.sub (local.get $v) (i8x16.splat (i32.const 173))) (i8x16.splat (i32.const -125)))
          (v128.or
            (i8x16.lt_s (i8x16.sub (local.get $v) (i8x16.splat (i32.const 168))) (i8x16.splat (i32.const -126)))
            (i8x16.eq (local.get $v) (i8x16.splat (i32.const 32)))))))
      (i32.store16 offset=0xB200 (local.get $word) (i8x16.bitmask
        (i8x16.lt_s
          (i8x16.sub (v128.or (local.get $v) (i8x16.splat (i32.const 32))) (i8x16.splat (i32.const 225)))
          (i8x16.splat (i32.const -102)))))
      (i32.store16 offset=0xC300 (local.get $word) (i8x16.bitmask
        (i8x16.eq (local.get $v) (i8x16.splat (i32.const 58)))))
      (i32.store16 offset=0xD400 (local.get $word) (i8x16.bitmask
        (v128.or
          (i8x16.eq (local.get $v) (i8x16.splat (i32.const 64)))
          (i8x16.eq (local.get $v) (i8x16.splat (i32.const 43))))))
      (local.set $p (i32.add (local.get $p) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $p) (local.get $end)))))

  ;; Lists the candidates of the tile's `bytes` bytes and returns how many there are.
  (func (export "scan") (param $bytes i32) (result i32)
    (local $o i32) (local $end i32) (local $from i32) (local $sorted i32) (local $out i32)
    (local $base i32) (local $t i64)
    (local $d i64) (local $dp i64) (local $dn i64) (local $d1 i64) (local $s i64) (local $sp i64)
    (local $l i64) (local $c i64) (local $cp i64) (local $x i64) (local $a i64) (local $ap i64)
    ;; Words of the tile, rounded up; one more on either side.
    (local.set $end (i32.shl (i32.shr_u (i32.add (local.get $bytes) (i32.const 63)) (i32.const 6)) (i32.const 3)))
    (call $mark (i32.add (i32.shl (local.get $end) (i32.const 3)) (i32.const 128)))
    (local.set $out (i32.const 0x10000))
    (local.set $o (i32.const 8))
    (local.set $end (i32.add (local.get $end) (i32.const 8)))
    (block $done (loop $word
      (br_if $done (i32.ge_u (local.get $o) (local.get $end)))
      ;; Every pattern has such a byte at its offset or at most three on.
      (if (i64.eqz (i64.load offset=0xE600 (i32.shr_u (local.get $o) (i32.const 3)))) (then
        (local.set $o (i32.add (local.get $o) (i32.const 56)))
        (br $word)))
      (if (i32.eqz (i32.load16_u offset=0xE600 (i32.shr_u (local.get $o) (i32.const 3)))) (then
        (local.set $o (i32.add (local.get $o) (i32.const 8)))
        (br $word)))
      ;; The word before, this one and the word after, but for what is sorted already.
      (local.set $from (i32.sub (i32.shl (local.get $o) (i32.const 3)) (i32.const 64)))
      (if (i32.lt_u (local.get $from) (local.get $sorted)) (then (local.set $from (local.get $sorted))))
      (local.set $sorted (i32.add (i32.shl (local.get $o) (i32.const 3)) (i32.const 128)))
      (if (i32.lt_u (local.get $from) (local.get $sorted)) (then
        (call $classify (local.get $from) (local.get $sorted))))
      (local.set $d (i64.load offset=0x9000 (local.get $o)))
      (local.set $dn (i64.load offset=0x9008 (local.get $o)))
      (local.set $c (i64.load offset=0xC300 (local.get $o)))
      (local.set $x (i64.load offset=0xD400 (local.get $o)))
      (local.set $t (local.get $x))

      (if (i64.ne (i64.or (local.get $d) (local.get $dn)) (i64.const 0)) (then
        (local.set $dp (i64.load offset=0x8FF8 (local.get $o)))
        (local.set $s (i64.load offset=0xA100 (local.get $o)))
        (local.set $sp (i64.load offset=0xA0F8 (local.get $o)))
        (local.set $l (i64.load offset=0xB200 (local.get $o)))
        (local.set $d1
          (i64.or (i64.shl (local.get $d) (i64.const 1)) (i64.shr_u (local.get $dp) (i64.const 63))))
        ;; A digit that one to three separators join to a digit before it.
        (local.set $t (i64.or (local.get $t) (i64.and
          (i64.and (local.get $d)
            (i64.or (i64.shl (local.get $s) (i64.const 1)) (i64.shr_u (local.get $sp) (i64.const 63))))
          (i64.or
            (i64.or (i64.shl (local.get $d) (i64.const 2)) (i64.shr_u (local.get $dp) (i64.const 62)))
            (i64.and
              (i64.or (i64.shl (local.get $s) (i64.const 2)) (i64.shr_u (local.get $sp) (i64.const 62)))
              (i64.or
                (i64.or (i64.shl (local.get $d) (i64.const 3)) (i64.shr_u (local.get $dp) (i64.const 61)))
                (i64.and
                  (i64.or (i64.shl (local.get $s) (i64.const 3)) (i64.shr_u (local.get $sp) (i64.const 61)))
                  (i64.or (i64.shl (local.get $d) (i64.const 4)) (i64.shr_u (local.get $dp) (i64.const 60))))))))))
        ;; The first digit of a row with digits 4, 8 and 12 further: every run of 13 is one.
        (local.set $t (i64.or (local.get $t) (i64.and
          (i64.and (local.get $d) (i64.xor (local.get $d1) (i64.const -1)))
          (i64.and
            (i64.or (i64.shr_u (local.get $d) (i64.const 4)) (i64.shl (local.get $dn) (i64.const 60)))
            (i64.and
              (i64.or (i64.shr_u (local.get $d) (i64.const 8)) (i64.shl (local.get $dn) (i64.const 56)))
              (i64.or (i64.shr_u (local.get $d) (i64.const 12)) (i64.shl (local.get $dn) (i64.const 52))))))))
        ;; Two letters, two digits.
        (local.set $c (i64.and
          (i64.and (local.get $l)
            (i64.or (i64.shr_u (local.get $l) (i64.const 1))
              (i64.shl (i64.load offset=0xB208 (local.get $o)) (i64.const 63))))
          (i64.and
            (i64.or (i64.shr_u (local.get $d) (i64.const 2)) (i64.shl (local.get $dn) (i64.const 62)))
            (i64.or (i64.shr_u (local.get $d) (i64.const 3)) (i64.shl (local.get $dn) (i64.const 61))))))
        ;; … but not behind six letters and digits, as in the middle of a hash: whatever is there, an escape of
        ;; six bytes included, the byte before belongs to a word.
        (if (i64.ne (local.get $c) (i64.const 0)) (then
          (local.set $a (i64.or (local.get $d) (local.get $l)))
          (local.set $ap (i64.or (local.get $dp) (i64.load offset=0xB1F8 (local.get $o))))
          ;; Bit i: the bytes at i-1 and i-2; then at i-1 to i-4; then at i-1 to i-6.
          (local.set $x (i64.and
            (i64.or (i64.shl (local.get $a) (i64.const 1)) (i64.shr_u (local.get $ap) (i64.const 63)))
            (i64.or (i64.shl (local.get $a) (i64.const 2)) (i64.shr_u (local.get $ap) (i64.const 62)))))
          (local.set $x (i64.and (local.get $x) (i64.and
            (i64.or (i64.shl (local.get $a) (i64.const 3)) (i64.shr_u (local.get $ap) (i64.const 61)))
            (i64.or (i64.shl (local.get $a) (i64.const 4)) (i64.shr_u (local.get $ap) (i64.const 60))))))
          (local.set $x (i64.and (local.get $x) (i64.and
            (i64.or (i64.shl (local.get $a) (i64.const 5)) (i64.shr_u (local.get $ap) (i64.const 59)))
            (i64.or (i64.shl (local.get $a) (i64.const 6)) (i64.shr_u (local.get $ap) (i64.const 58))))))
          (local.set $t (i64.or (local.get $t)
            (i64.and (local.get $c) (i64.xor (local.get $x) (i64.const -1)))))))
        (local.set $c (i64.load offset=0xC300 (local.get $o)))))

      (if (i64.ne (local.get $c) (i64.const 0)) (then
        (local.set $cp (i64.load offset=0xC2F8 (local.get $o)))
        ;; One colon alone, as in most JSON, ends here.
        (if (i64.ne (i64.or (local.get $cp) (i64.and (local.get $c) (i64.sub (local.get $c) (i64.const 1))))
              (i64.const 0)) (then
          (local.set $a (i64.or (local.get $d) (i64.load offset=0xB200 (local.get $o))))
          (local.set $ap
            (i64.or (i64.load offset=0x8FF8 (local.get $o)) (i64.load offset=0xB1F8 (local.get $o))))
          ;; A colon and, after no or one to four letters or digits, another one.
          (local.set $t (i64.or (local.get $t) (i64.and (local.get $c)
            (i64.or
              (i64.or (i64.shl (local.get $c) (i64.const 1)) (i64.shr_u (local.get $cp) (i64.const 63)))
              (i64.and
                (i64.or (i64.shl (local.get $a) (i64.const 1)) (i64.shr_u (local.get $ap) (i64.const 63)))
                (i64.or
                  (i64.or (i64.shl (local.get $c) (i64.const 2)) (i64.shr_u (local.get $cp) (i64.const 62)))
                  (i64.and
                    (i64.or (i64.shl (local.get $a) (i64.const 2)) (i64.shr_u (local.get $ap) (i64.const 62)))
                    (i64.or
                      (i64.or (i64.shl (local.get $c) (i64.const 3)) (i64.shr_u (local.get $cp) (i64.const 61)))
                      (i64.and
                        (i64.or (i64.shl (local.get $a) (i64.const 3)) (i64.shr_u (local.get $ap) (i64.const 61)))
                        (i64.or
                          (i64.or (i64.shl (local.get $c) (i64.const 4)) (i64.shr_u (local.get $cp) (i64.const 60)))
                          (i64.and
                            (i64.or
                              (i64.shl (local.get $a) (i64.const 4)) (i64.shr_u (local.get $ap) (i64.const 60)))
                            (i64.or
                              (i64.shl (local.get $c) (i64.const 5))
                              (i64.shr_u (local.get $cp) (i64.const 59))))))))))))))))))

      (local.set $base (i32.sub (i32.shl (local.get $o) (i32.const 3)) (i32.const 64)))
      (block $listed (loop $bit
        (br_if $listed (i64.eqz (local.get $t)))
        (i32.store (local.get $out) (i32.add (local.get $base) (i32.wrap_i64 (i64.ctz (local.get $t)))))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $t (i64.and (local.get $t) (i64.sub (local.get $t) (i64.const 1))))
        (br $bit)))
      (local.set $o (i32.add (local.get $o) (i32.const 8)))
      (br $word)))
    (i32.shr_u (i32.sub (local.get $out) (i32.const 0x10000)) (i32.const 2))))
