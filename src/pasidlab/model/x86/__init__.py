"""The hardware: a CPU with IA32_PASID and xstate, the IOMMU's PASID table, the accelerator's work in flight."""
