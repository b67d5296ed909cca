"""What serving needs: tokenising, the ONNX towers, the crossings in NumPy."""
