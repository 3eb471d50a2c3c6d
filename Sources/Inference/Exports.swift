// `import Inference` is all that a program with networks of its own needs: the checkpoint's and the layers'
// types are part of this library's interface.

@_exported import Checkpoints
@_exported import NN
