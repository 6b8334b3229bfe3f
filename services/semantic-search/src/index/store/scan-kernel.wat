;; Cosine numerators of one query against rows of half floats, eight lanes at a time.
;;
;; A half float h, sign-extended to 32 bits, shifted left by 13 and masked, is the bit pattern of the float
;; value(h) * 2^-112. The query is stored times 2^112, so the products need no further correction. Rows hold
;; no subnormal half floats (half-float.ts flushes them to zero): no lane is subnormal, which would be slow.
;;
;;   slots: u32[count]   query: f32[lanes]   rows: row of slot s at rows + s * rowBytes   scores: f32[count]
;;   rowBytes is a multiple of 16 and lanes is rowBytes / 2.
(module
  (import "host" "memory" (memory 1 65536))
  (func (export "scan")
    (param $slots i32) (param $count i32) (param $query i32)
    (param $rows i32) (param $rowBytes i32) (param $scores i32)
    (local $slotsEnd i32) (local $row i32) (local $rowEnd i32) (local $lane i32)
    (local $halves v128) (local $low v128) (local $high v128)
    (local.set $slotsEnd (i32.add (local.get $slots) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $slots) (local.get $slotsEnd)))
        (local.set $row
          (i32.add (local.get $rows) (i32.mul (i32.load (local.get $slots)) (local.get $rowBytes))))
        (local.set $rowEnd (i32.add (local.get $row) (local.get $rowBytes)))
        (local.set $lane (local.get $query))
        (local.set $low (v128.const i32x4 0 0 0 0))
        (local.set $high (v128.const i32x4 0 0 0 0))
        (loop $lanes
          (local.set $halves (v128.load (local.get $row)))
          (local.set $low
            (f32x4.add (local.get $low)
              (f32x4.mul (v128.load (local.get $lane))
                (v128.and
                  (i32x4.shl (i32x4.extend_low_i16x8_s (local.get $halves)) (i32.const 13))
                  (v128.const i32x4 0x8fffe000 0x8fffe000 0x8fffe000 0x8fffe000)))))
          (local.set $high
            (f32x4.add (local.get $high)
              (f32x4.mul (v128.load offset=16 (local.get $lane))
                (v128.and
                  (i32x4.shl (i32x4.extend_high_i16x8_s (local.get $halves)) (i32.const 13))
                  (v128.const i32x4 0x8fffe000 0x8fffe000 0x8fffe000 0x8fffe000)))))
          (local.set $lane (i32.add (local.get $lane) (i32.const 32)))
          (local.set $row (i32.add (local.get $row) (i32.const 16)))
          (br_if $lanes (i32.ne (local.get $row) (local.get $rowEnd))))
        (local.set $low (f32x4.add (local.get $low) (local.get $high)))
        (f32.store (local.get $scores)
          (f32.add
            (f32.add (f32x4.extract_lane 0 (local.get $low)) (f32x4.extract_lane 1 (local.get $low)))
            (f32.add (f32x4.extract_lane 2 (local.get $low)) (f32x4.extract_lane 3 (local.get $low)))))
        (local.set $slots (i32.add (local.get $slots) (i32.const 4)))
        (local.set $scores (i32.add (local.get $scores) (i32.const 4)))
        (br $next)))))
