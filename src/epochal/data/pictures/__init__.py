"""Pictures: files and folders of classes into arrays of bytes, and photographed digits made like MNIST's."""
