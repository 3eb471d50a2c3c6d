// `import ResNets` is all that a program needs: the checkpoint's and the model's types are part of
// this library's interface.

@_exported import Checkpoints
@_exported import Inference
@_exported import NN
