wexe
machine tiny
image core command=0 {
  descriptor whole mem f32 base=1024 shape=[4]
  descriptor middle mem f32 base=1032 shape=[2]
  descriptor first mem f32 base=1024 shape=[1]
  descriptor reversed mem f32 base=1036 extents=[1, 1, 1, 4] strides=[0, 0, 0, -1]
  buffer small base=1024 bytes=4
  buffer large base=1024 bytes=16
  buffer late base=1032 bytes=4
}
