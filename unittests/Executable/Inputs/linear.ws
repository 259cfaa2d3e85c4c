wexe
# y = x W^T for 4 tokens, 2 features in, 2 features out, on 2x2 cores of the tiny machine. One region: what differs from core to core is the
# number of elements, which is affine in the core's place.
producer "by hand"
machine tiny

colour 0 command weight
colour 1 input
colour 2 output
colour 3 east
colour 4 input_south
colour 5 output_south
colour 6 west

image linear command=command {
  descriptor x_rows mem f16 base=2048 extents=[1, 1, 1, 2] strides=[2, 0, 0, 1]
  descriptor sum acc f32 base=0 shape=[2]
  descriptor y mem f32 base=2056 shape=[2]
  descriptor zero const f32 value=0.0
  # Input: the first row keeps its block and passes the next one south.
  descriptor x_first mem f16 base=2048 shape=[2]
  descriptor in_first fabin f16 colour=input extents=[1, 1, 1, 2]
  descriptor rest_in fabin i32 colour=input extents=[1, 1, 1, 1]
  descriptor rest_out fabout i32 colour=input_south extents=[1, 1, 1, 1]
  descriptor x_second mem f16 base=2048 shape=[2]
  descriptor in_second fabin f16 colour=input_south extents=[1, 1, 1, 2]
  # Reduction: partial sums go to the owner's column.
  descriptor east_out fabout f32 colour=east extents=[1, 1, 1, 2]
  descriptor west_out fabout f32 colour=west extents=[1, 1, 1, 2]
  descriptor y_east mem f32 base=2056 shape=[2]
  descriptor east_in fabin f32 colour=east extents=[1, 1, 1, 2]
  descriptor y_west mem f32 base=2056 shape=[2]
  descriptor west_in fabin f32 colour=west extents=[1, 1, 1, 2]
  # Output: the second row sends its block, then passes on what comes from the first.
  descriptor y_second mem f32 base=2056 shape=[2]
  descriptor out_second fabout f32 colour=output extents=[1, 1, 1, 2]
  descriptor y_first mem f32 base=2056 shape=[2]
  descriptor out_first fabout f32 colour=output_south extents=[1, 1, 1, 2]
  descriptor pass_in fabin f32 colour=output_south extents=[1, 1, 1, 2]
  descriptor pass_out fabout f32 colour=output extents=[1, 1, 1, 2]
  buffer x base=2048 bytes=4
  buffer y base=2056 bytes=8
  buffer sum acc base=0 bytes=8

  data weights:
    fmacw.f16 d1, d0
    end
  control 1 take_input:
    location "linear.py:1"
    ldd d10, %x_first
    ldd d11, %in_first
    mov.f16 d10, d11
    ldd d12, %rest_out
    ldd d13, %rest_in
    mov.i32 d12, d13 async
    ldd d14, %x_second
    ldd d15, %in_second
    mov.f16 d14, d15
    end
  control 2 begin:
    location "linear.py:2"
    ldd d0, %x_rows
    ldd d1, %sum
    ldd d2, %y
    ldd d3, %zero
    bind @weights
    end
  control 3 pass_east:
    ldd d4, %east_out
    add.f32 d4, d3, d1 clear1
    end
  control 4 pass_west:
    ldd d4, %west_out
    add.f32 d4, d3, d1 clear1
    end
  control 5 own:
    add.f32 d2, d3, d1 clear1
    ldd d4, %y_east
    ldd d5, %east_in
    add.f32 d4, d5, d4
    ldd d6, %y_west
    ldd d7, %west_in
    add.f32 d6, d6, d7
    end
  control 6 give_output:
    location "linear.py:3"
    ldd d10, %y_second
    ldd d11, %out_second
    mov.f32 d11, d10
    ldd d12, %y_first
    ldd d13, %out_first
    mov.f32 d13, d12
    ldd d14, %pass_in
    ldd d15, %pass_out
    mov.f32 d15, d14
    end
}

region all image=linear at=[0, 0] size=[2, 2] {
  override x_first extent3=2 dy=-2
  override in_first extent3=2 dy=-2
  override rest_in extent2=1 dy=-1
  override rest_out extent2=1 dy=-1
  override x_second extent3=0 dy=2
  override in_second extent3=0 dy=2
  override y_east extent3=0 dx=2
  override east_in extent3=0 dx=2
  override y_west extent3=2 dx=-2
  override west_in extent3=2 dx=-2
  override y_second extent3=0 dy=2
  override out_second extent3=0 dy=2
  override y_first extent3=2 dy=-2
  override out_first extent3=2 dy=-2
  override pass_in extent3=0 dy=2
  override pass_out extent3=0 dy=2
}

route command colour=command at=[0, 0] size=[2, 1] rx=N tx=[S, RAMP]
route command colour=command at=[0, 1] size=[2, 1] rx=N tx=[RAMP]
route input colour=input at=[0, 0] size=[2, 1] rx=N tx=[RAMP]
route input_south colour=input_south at=[0, 0] size=[2, 1] rx=RAMP tx=[S]
route input_south colour=input_south at=[0, 1] size=[2, 1] rx=N tx=[RAMP]
route east colour=east at=[0, 0] size=[1, 2] rx=RAMP tx=[E]
route east colour=east at=[1, 0] size=[1, 2] rx=W tx=[RAMP]
route west colour=west at=[1, 0] size=[1, 2] rx=RAMP tx=[W]
route west colour=west at=[0, 0] size=[1, 2] rx=E tx=[RAMP]
route output_south colour=output_south at=[0, 0] size=[2, 1] rx=RAMP tx=[S]
route output_south colour=output_south at=[0, 1] size=[2, 1] rx=N tx=[RAMP]
route output colour=output at=[0, 1] size=[2, 1] rx=RAMP tx=[S]
route output colour=output at=[0, 2] size=[2, 2] rx=N tx=[S]

tensor x input f32 [4, 2]
tensor fc.weight weight f32 [2, 2] nonzeros=3
tensor y output f32 [4, 2]

entry main inputs=[x] outputs=[y] {
  phase wafer command=command {
    grid at=[0, 0] columns=2 rows=2 groups=1 token_block=2 tokens=4 micro_batches=1
    send x tensor=x type=f16 feature_block=1 colour=input task=take_input location="linear.py:1"
    command begin task=begin
    contract fc tensor=fc.weight type=f16 wire=indexed16 rows=2 columns=2 row_stride=2 column_stride=1 feature_block=1 out_block=1 task_east=pass_east task_west=pass_west task_own=own location="linear.py:2"
    receive y tensor=y type=f32 feature_block=1 colour=output task=give_output location="linear.py:3"
  }
}

report fc placement="wafer" location="linear.py:2" macs=16
