"""What devices exchange is read from the text of a program, loops as often as they run."""

from stages.fits.collectives import Collective, by_kind, collectives, normalised

TPU = """HloModule jit_step, is_scheduled=true

%add (x: bf16[], y: bf16[]) -> bf16[] {
  ROOT %sum = bf16[] add(%x, %y)
}

%body (p: (s32[], bf16[256,512])) -> (s32[], bf16[256,512]) {
  %all-reduce.5 = bf16[256,512]{1,0:T(8,128)(2,1)S(3)} all-reduce(%fusion.13), channel_id=2, to_apply=%add, metadata={op_name="while/body"}
  %fusion.14 = (bf16[]{:T(256)}, bf16[256,128]{1,0}) fusion(%all-reduce.5, %multiply.5), kind=kLoop, calls=%fused
  ROOT %tuple = (s32[], bf16[256,512]) tuple(%next, %all-reduce.5)
}

%condition (p: (s32[], bf16[256,512])) -> pred[] {
  %constant.23 = s32[]{:T(128)} constant(12)
  ROOT %lt = pred[]{:T(512)} compare(%get-tuple-element.98, %constant.23), direction=LT
}

%exchange (p.1: f32[8,4]) -> f32[8,4] {
  ROOT %all-to-all.1 = f32[8,4]{1,0} all-to-all(%p.1), dimensions={0}
}

%dead (p.2: f32[8,4]) -> f32[8,4] {
  ROOT %all-to-all.9 = f32[8,4]{1,0} all-to-all(%p.2), dimensions={0}
}

ENTRY %main (p.3: bf16[12,128,512]) -> bf16[12] {
  %while.13 = (s32[]{:T(128)}, bf16[256,512]{1,0}, /*index=5*/s32[]{:T(128)}) while(%tuple.35), condition=%condition, body=%body
  %all-gather-start.1 = (f32[2,4]{1,0}, f32[8,4]{1,0}) all-gather-start(%a), dimensions={0}
  %all-gather-done.1 = f32[8,4]{1,0} all-gather-done(%all-gather-start.1)
  %permute = (pred[64]{0}, pred[64]{0}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%b), source_target_pairs={{0,1}}
  %async-start = ((f32[8,4]), f32[8,4], u32[]) async-start(%c), calls=%exchange
  %async-done = f32[8,4]{1,0} async-done(%async-start), calls=%exchange
  ROOT %all-reduce.3 = (bf16[12]{0}, f32[]) all-reduce(%d, %e), to_apply=%add
}
"""
GPU = """HloModule jit_step

%body (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %reduce-scatter.1 = f32[4]{0} reduce-scatter(%x), dimensions={0}, to_apply=%add
}

%condition (p.1: (s32[], f32[4])) -> pred[] {
  ROOT %fusion = pred[] fusion(%p.1), kind=kLoop, calls=%compare
}

%outer (p.2: (s32[], f32[4])) -> (s32[], f32[4]) {
  %while.1 = (s32[], f32[4]{0}) while(%t), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"6"}}
}

ENTRY %main (p.3: f32[4]) -> f32[4] {
  %while.2 = (s32[], f32[4]{0}) while(%t), condition=%condition, body=%outer, backend_config={"known_trip_count":{"n":"5"}}
  %while.3 = (s32[], f32[4]{0}) while(%t), condition=%condition, body=%body
}
"""


def test_a_loop_runs_as_often_as_its_condition_says():
    assert Collective("all-reduce", ("bf16[256,512]",), 12) in collectives(TPU)


def test_what_is_started_in_the_background_counts_once_and_by_its_result():
    found = collectives(TPU)
    assert Collective("all-gather", ("f32[8,4]",), 1) in found
    assert Collective("collective-permute", ("pred[64]",), 1) in found
    # and what nothing calls not at all
    assert [collective.times for collective in found if collective.kind == "all-to-all"] == [1]


def test_loops_in_loops_multiply_and_one_of_unknown_length_counts_once():
    (collective,) = collectives(GPU)
    assert collective == Collective("reduce-scatter", ("f32[4]",), 6 * 5 + 1)
    assert by_kind([collective]) == {"reduce-scatter": {"count": 31, "bytes": 31 * 16}}


def test_figures_by_kind_and_a_text_without_names():
    found = collectives(TPU)
    assert by_kind(found) == {
        "all-gather": {"count": 1, "bytes": 128},
        "all-reduce": {"count": 13, "bytes": 12 * 256 * 512 * 2 + 12 * 2 + 4},
        "all-to-all": {"count": 1, "bytes": 128},
        "collective-permute": {"count": 1, "bytes": 64},
    }
    assert normalised(found) == [
        "1 x all-gather f32[8,4]",
        "1 x all-reduce bf16[12] f32[]",
        "12 x all-reduce bf16[256,512]",
        "1 x all-to-all f32[8,4]",
        "1 x collective-permute pred[64]",
    ]
