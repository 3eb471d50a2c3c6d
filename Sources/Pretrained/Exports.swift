// `import Pretrained` is all that a program needs: what it gives are this package's networks.

@_exported import ResNets
